// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "function-manager/src/adapters/pg_invoke_store.h"
#include "function-manager/src/domain/key_order.h"

namespace dispatch::invoke_store_contract {
namespace {

using namespace std::chrono_literals;

Uuid Id(uint8_t n) {
  Uuid id;
  id.bytes[0] = n;
  return id;
}

RetryRow Row(int64_t offset, int64_t due_ms, size_t bytes = 10) {
  RetryRow row;
  row.id = {Id(100), 0, offset, Id(1), 1, Uuid{}};
  row.org = "acme";
  row.topic = "orders";
  row.source_timestamp_ms = 1'000 + offset;
  row.due_ms = due_ms;
  row.sequence = offset;
  schema::EventData event;
  event.value = std::string(bytes, 'x');
  row.event = std::make_shared<const schema::EventData>(std::move(event));
  return row;
}

class Retries : public pg::testing::OwnSchema {
 protected:
  Retries() : OwnSchema("retries_contract") {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    Migrate(Migrations());
    store_ = std::make_unique<PgInvokeStore>(*pool_);
  }
  template <typename T>
  T Await(const std::function<void(std::function<void(Result<T>)>)>& ask) {
    std::optional<Result<T>> slot;
    ask([&](Result<T> result) { slot.emplace(std::move(result)); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 20s));
    EXPECT_TRUE(slot->ok()) << slot->message();
    return slot->ok() ? std::move(**slot) : T{};
  }
  InvokeClaim Claim() {
    auto claims = Await<std::vector<InvokeClaim>>([&](auto done) { store_->Claim({3}, done); });
    return claims.empty() ? InvokeClaim{} : claims[0];
  }
  void Save(const InvokeClaim& claim, std::vector<RetryRow> rows) {
    InvokeSave save;
    save.partition = 3;
    save.epoch = claim.epoch;
    save.upserts = std::move(rows);
    auto result = Await<InvokeStore::SaveResult>([&](auto done) { store_->Save({save}, done); });
    EXPECT_TRUE(result.fenced.empty());
  }
  InvokeStore::Due Due(int64_t from_ms, int64_t until_ms, InvokeStore::Room room) {
    return Await<InvokeStore::Due>(
        [&](auto done) { store_->LoadDue(3, from_ms, until_ms, room, done); });
  }
  static std::vector<int64_t> Offsets(const std::vector<RetryRow>& rows) {
    std::vector<int64_t> offsets;
    for (const auto& row : rows) offsets.push_back(row.id.offset);
    return offsets;
  }

  std::unique_ptr<PgInvokeStore> store_;
};

TEST_F(Retries, AClaimKnowsTheFirstRowOfEachKey) {
  auto claim = Claim();
  auto ordered = [](int64_t offset, int64_t due_ms, const char* key) {
    RetryRow row = Row(offset, due_ms);
    row.key = key;
    return row;
  };
  RetryRow head = ordered(7, 9'000, "a");
  head.attempts = 3;
  head.first_attempt_ms = 2'000;
  head.last_status = 503;
  head.last_error = "503 from http://h";
  Save(claim, {ordered(9, kNeverDue, "a"), head, ordered(8, kNeverDue, "a"),
               ordered(5, kNeverDue, "b"), Row(1, 500)});
  auto again = Claim();
  ASSERT_EQ(again.blocked.size(), 2u);
  auto& a = again.blocked[again.blocked[0].key == "a" ? 0 : 1];
  auto& b = again.blocked[again.blocked[0].key == "a" ? 1 : 0];
  EXPECT_EQ(a.rows, 3);
  EXPECT_EQ(a.first_sequence, 7);
  EXPECT_EQ(a.first.due_ms, 9'000);
  EXPECT_EQ(a.first.since_ms, 2'000);
  EXPECT_EQ(a.first.attempts, 3);
  EXPECT_EQ(a.first.last_status, 503);
  EXPECT_EQ(a.first.last_error, "503 from http://h");
  EXPECT_EQ(a.first.source_offset, 7);
  EXPECT_EQ(b.rows, 1);
  EXPECT_EQ(b.first.due_ms, kNeverDue);
}

TEST_F(Retries, WhatIsDueIsLoadedByRowsAndBytes) {
  auto claim = Claim();
  std::vector<RetryRow> rows;
  for (int64_t i = 0; i < 10; ++i) rows.push_back(Row(i, 5'000 + i, 1'000));
  rows.push_back(Row(50, 9'000));
  Save(claim, rows);
  auto due = Due(0, 6'000, {100, 1'000'000});
  EXPECT_TRUE(due.all);
  EXPECT_EQ(due.rows.size(), 10u);
  EXPECT_EQ(due.rows[0].due_ms, 5'000);
  EXPECT_EQ(due.rows[0].event->value->size(), 1'000u);
  due = Due(0, 6'000, {4, 1'000'000});
  EXPECT_FALSE(due.all);
  EXPECT_EQ(Offsets(due.rows), (std::vector<int64_t>{0, 1, 2, 3}));
  due = Due(5'003, 6'000, {100, 2'500});
  EXPECT_FALSE(due.all);
  EXPECT_EQ(Offsets(due.rows), (std::vector<int64_t>{3, 4, 5}));
  due = Due(0, 6'000, {100, 1});
  EXPECT_EQ(due.rows.size(), 1u) << "one at least";
  due = Due(7'000, 8'000, {100, 1});
  EXPECT_TRUE(due.all);
  EXPECT_TRUE(due.rows.empty());
}

TEST_F(Retries, RowsOfKeysThatDoNotFitAreNotTakenForNone) {
  auto claim = Claim();
  std::vector<RetryRow> rows;
  for (int64_t i = 0; i < 9; ++i) {
    rows.push_back(Row(i, kNeverDue, 1'000));
    rows.back().key = "k" + std::to_string(i % 3);
  }
  Save(claim, rows);
  auto load = [&](size_t each, size_t bytes) {
    std::vector<InvokeStore::KeyFrom> keys{
        {Id(1), "none", 0}, {Id(1), "k0", 0}, {Id(1), "k1", 2}, {Id(1), "k2", 0}};
    return Await<InvokeStore::OfKeys>(
        [&](auto done) { store_->LoadKeys(3, keys, each, bytes, done); });
  };
  auto found = load(10, 1'000'000);
  EXPECT_EQ(found.keys, 4u);
  EXPECT_EQ(Offsets(found.rows), (std::vector<int64_t>{0, 3, 6, 4, 7, 2, 5, 8}));
  EXPECT_EQ(Offsets(load(1, 1'000'000).rows), (std::vector<int64_t>{0, 4, 2}));
  found = load(10, 3'500);
  EXPECT_EQ(found.keys, 3u);
  EXPECT_EQ(Offsets(found.rows), (std::vector<int64_t>{0, 3, 6, 4}));
}

TEST_F(Retries, AClaimKnowsWhatWaitsBySecondsAndWhatIsScheduled) {
  auto claim = Claim();
  std::vector<RetryRow> rows{Row(0, 5'000), Row(1, 6'000), Row(1'500, 7'000), Row(2, 60'500),
                             Row(3, 60'700)};
  rows[3].deliver_at_ms = 60'500;
  rows[4].deliver_at_ms = 60'700;
  Save(claim, rows);
  auto again = Claim();
  EXPECT_EQ(again.epoch, claim.epoch + 1);
  std::map<std::pair<bool, int64_t>, int64_t> waiting;
  for (const auto& w : again.waiting) waiting[{w.delayed, w.first_ms}] = w.rows;
  EXPECT_EQ(waiting, (std::map<std::pair<bool, int64_t>, int64_t>{
                         {{false, 1'000}, 2}, {{false, 2'500}, 1}, {{true, 60'500}, 2}}));
  auto due = Due(60'000, 61'000, {10, 1'000});
  ASSERT_EQ(due.rows.size(), 2u);
  EXPECT_EQ(due.rows[1].deliver_at_ms, 60'700);
}

TEST_F(Retries, ALostPartitionOfAProcessThatLivedIsNoUncleanStart) {
  auto lived = [&](const InvokeClaim& claim) {
    Await<bool>([&](auto done) {
      store_->Lived({{3, claim.epoch}}, [done](const Status& status) {
        status.ok() ? done(true) : done(status.error());
      });
    });
  };
  Save(Claim(), {});
  auto first = Claim();
  EXPECT_EQ(first.unclean_starts, 1)
      << "the one before neither gave it back nor told that it lives";
  lived(first);
  auto second = Claim();
  EXPECT_EQ(second.unclean_starts, 0);
  auto third = Claim();
  EXPECT_EQ(third.unclean_starts, 1);
  lived(second);  // late: the next one has claimed
  EXPECT_EQ(Claim().unclean_starts, 1) << "of the third";
}

TEST_F(Retries, StaleRowsAreFoundWheneverTheyAreDue) {
  auto claim = Claim();
  std::vector<RetryRow> rows{Row(0, 5'000), Row(1, 50'000), Row(2, 5'000), Row(3, 5'000)};
  rows[1].id.generation = 2;
  rows[2].id.subscription = Id(2);
  rows[3].key = "k";  // comes in its turn
  Save(claim, rows);
  auto load = [&](int32_t generation, size_t limit) {
    return Await<std::vector<RetryRow>>(
        [&](auto done) { store_->LoadStale(3, Id(1), generation, limit, done); });
  };
  EXPECT_EQ(Offsets(load(2, 10)), std::vector<int64_t>{0});
  EXPECT_EQ(load(3, 10).size(), 2u);
  EXPECT_EQ(load(3, 1).size(), 1u);
  EXPECT_TRUE(load(1, 10).empty());
}

}  // namespace
}  // namespace dispatch::invoke_store_contract
