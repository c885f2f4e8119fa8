// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "function-manager/src/adapters/attempt_rows.h"
#include "function-manager/src/adapters/attempt_slices.h"

// libpqxx 6.4 drops the result of a BEGIN that finds the connection lost: 2 kB each time.
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }

namespace dispatch::attempts_contract {
namespace {

constexpr int64_t kHour = 3'600'000;
constexpr int64_t kNow = 1'800'000'000'000;
constexpr int kBefore = 1'008;  // the last migration without slices

Uuid Id(uint8_t n) {
  Uuid id;
  id.bytes[0] = n;
  return id;
}

Attempt Success(int64_t offset, int64_t at_ms, uint8_t subscription = 1) {
  Attempt a;
  a.id = {Id(100), 0, offset, Id(subscription), 1, Uuid{}};
  a.org = "acme";
  a.subscription = "s" + std::to_string(subscription);
  a.at_ms = at_ms;
  a.status = 200;
  a.outcome = kDelivered;
  return a;
}

Attempt Failure(int64_t offset, int64_t at_ms) {
  Attempt a = Success(offset, at_ms);
  a.status = 503;
  a.outcome = "retry";
  a.message = "503 from http://h";
  a.next_attempt_ms = at_ms + 5'000;
  return a;
}

class Attempts : public pg::testing::OwnSchema {
 protected:
  Attempts() : OwnSchema("attempts_contract") {}

  void Migrate(int last = std::numeric_limits<int>::max()) {
    std::vector<pg::Migration> some;
    for (const auto& migration : Migrations()) {
      if (migration.number <= last) some.push_back(migration);
    }
    OwnSchema::Migrate(some);
  }
  template <typename Work>
  auto In(const Work& work) {
    using Value = typename decltype(work(std::declval<pg::Transaction&>()))::value_type;
    std::optional<Value> value;
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      auto result = work(tx);
      if (!result.ok()) return result.error();
      value.emplace(std::move(*result));
      return {};
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return status.ok() ? std::move(*value) : Value{};
  }
  OpenSlices Tend(int64_t now_ms) {
    return In([&](pg::Transaction& tx) { return TendSlices(tx, limits_, now_ms); });
  }
  Status Write(const OpenSlices& slices, const std::vector<Attempt>& failures,
               const std::vector<Attempt>& successes) {
    return pool_->RunNow([&](pg::Transaction& tx) {
      return WriteAttempts(tx, slices, failures, PackAttempts(successes));
    });
  }
  std::vector<Attempt> At(int64_t offset) {
    return In([&](pg::Transaction& tx) { return ReadAttemptsAt(tx, "acme", Id(100), 0, offset); });
  }
  AttemptPage Of(const AttemptQuery& query, uint8_t subscription = 1) {
    return In(
        [&](pg::Transaction& tx) { return ReadAttemptsOf(tx, "acme", Id(subscription), query); });
  }
  int64_t Count(const std::string& sql) {
    return In([&](pg::Transaction& tx) { return tx.Exec(sql); })[0].Int(0);
  }

  SliceLimits limits_;
};

TEST_F(Attempts, AreFoundByPositionAndPagedBySubscription) {
  Migrate();
  auto slices = Tend(kNow);
  ASSERT_NE(slices.kept, slices.window);
  std::vector<Attempt> failures;
  std::vector<Attempt> successes;
  for (int64_t i = 0; i < 3'000; ++i) {
    successes.push_back(Success(i, kNow + i));
    if (i % 100 == 0) {
      failures.push_back(Failure(i, kNow + i - 50));
      successes.back().number = 2;
    }
    successes.push_back(Success(i, kNow + i, 2));
  }
  ASSERT_TRUE(Write(slices, failures, successes).ok());
  EXPECT_LT(Count("select count(*) from attempt_blocks"), 10);

  auto found = At(1'200);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].outcome, "retry");
  EXPECT_EQ(found[0].next_attempt_ms, kNow + 1'200 - 50 + 5'000);
  EXPECT_EQ(found[1].outcome, kDelivered);
  EXPECT_EQ(found[1].number, 2);
  EXPECT_EQ(found[2].subscription, "s2");
  EXPECT_TRUE(At(3'000).empty());
  EXPECT_TRUE(
      In([&](pg::Transaction& tx) { return ReadAttemptsAt(tx, "other", Id(100), 0, 5); }).empty());

  // Every attempt once, newest first, whatever the size of a page.
  for (size_t limit : {499u, 1'000u}) {
    AttemptQuery query;
    query.limit = limit;
    std::vector<AttemptCursor> listed;
    for (int pages = 0; pages < 1'000; ++pages) {
      auto page = Of(query);
      for (const auto& a : page.attempts) listed.push_back(AttemptCursor::Of(a));
      if (!page.next) break;
      ASSERT_EQ(page.attempts.size(), limit);
      query.before = *page.next;
    }
    EXPECT_EQ(listed.size(), 3'030u);
    EXPECT_TRUE(std::is_sorted(listed.rbegin(), listed.rend()));
    EXPECT_EQ(std::set<AttemptCursor>(listed.begin(), listed.end()).size(), listed.size());
  }
  AttemptQuery query;
  query.outcome = "retry";
  EXPECT_EQ(Of(query).attempts.size(), 30u);
  query.outcome = kDelivered;
  query.since_ms = kNow + 2'990;
  EXPECT_EQ(Of(query).attempts.size(), 10u);
}

TEST_F(Attempts, SlicesAreDroppedWhole) {
  Migrate();
  limits_.kept = std::chrono::hours(72);
  limits_.window = std::chrono::hours(24);
  auto first = Tend(kNow);
  Attempt kept = Success(2, kNow);
  kept.keep = true;
  ASSERT_TRUE(Write(first, {Failure(1, kNow)}, {Success(1, kNow), kept}).ok());
  auto same = Tend(kNow + 1'000);
  EXPECT_EQ(same.kept, first.kept);
  EXPECT_EQ(same.window, first.window);
  auto later = Tend(kNow + 2 * kHour);
  EXPECT_EQ(later.kept, first.kept);
  EXPECT_NE(later.window, first.window);
  EXPECT_EQ(At(1).size(), 2u);
  auto next_day = Tend(kNow + 27 * kHour);
  EXPECT_NE(next_day.kept, first.kept);
  EXPECT_EQ(At(1).size(), 1u) << "the window is over";
  EXPECT_EQ(At(2).size(), 1u) << "history: all";
  EXPECT_FALSE(Write(first, {}, {Success(3, kNow)}).ok()) << "its slice is gone";
  Tend(kNow + 100 * kHour);
  EXPECT_TRUE(At(1).empty());
  EXPECT_TRUE(At(2).empty());
  EXPECT_EQ(Count("select count(*) from attempt_slices"),
            Count("select count(*) from pg_inherits where inhparent = 'attempt_blocks'::regclass"));
}

TEST_F(Attempts, TheWindowIsBoundedByBytes) {
  Migrate();
  limits_.window_bytes = 800'000;
  auto open = Tend(kNow);
  Attempt big = Success(0, kNow);
  std::set<int64_t> slices;
  for (int i = 0; i < 20; ++i) {
    std::vector<Attempt> many;
    for (int j = 0; j < 200; ++j) {
      many.push_back(Success(1'000 * i + j, kNow + i));
      // What does not compress.
      for (int k = 0; k < 16; ++k) many.back().answer_head += Uuid::Random().ToString();
    }
    ASSERT_TRUE(Write(open, {}, many).ok());
    open = Tend(kNow + i);
    slices.insert(open.window);
  }
  EXPECT_GT(slices.size(), 8u);
  EXPECT_LT(Count("select sum(pg_total_relation_size('attempt_blocks_' || slice))::bigint"
                  " from attempt_slices where kind = 'window'"),
            1'200'000);
  EXPECT_EQ(At(19'005).size(), 1u);
  EXPECT_TRUE(At(5).empty());
}

TEST_F(Attempts, WhatWasRecordedBeforeIsCarriedOver) {
  Migrate(kBefore);
  Script(*pool_,
         "insert into attempts select '64000000-0000-0000-0000-000000000000', 0, n,"
         " '01000000-0000-0000-0000-000000000000', 1, '00000000-0000-0000-0000-000000000000', 1,"
         " 1799999990000 + n, 10, 200, 'delivered', '', '', 0, 'acme', 's1'"
         " from generate_series(1, 100) as n");
  Migrate();
  auto open = Tend(kNow);
  ASSERT_TRUE(Write(open, {Failure(7, kNow)}, {}).ok());
  EXPECT_EQ(At(7).size(), 2u);
  EXPECT_EQ(Of({}).attempts.size(), 100u);
  EXPECT_TRUE(Of({}).next);
  Tend(kNow + 73 * kHour);
  EXPECT_EQ(At(7).size(), 1u) << "slice 0 is over, the other not";
}

}  // namespace
}  // namespace dispatch::attempts_contract
