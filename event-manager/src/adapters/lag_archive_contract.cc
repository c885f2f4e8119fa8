// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "event-manager/src/adapters/lag_archive.h"

namespace dispatch::lag_archive_contract {
namespace {

using namespace std::chrono_literals;

constexpr int64_t kNow = 1'800'000'000'000 / kLagHour * kLagHour;  // a whole hour

class LagArchives : public pg::testing::OwnSchema {
 protected:
  LagArchives() : OwnSchema("lag_archive") {}

  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    Migrate(Migrations());
  }

  void Run(const pg::Pool::Work& work) {
    auto status = pool_->RunNow(work);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void Tend(int64_t now_ms) {
    Run([&](pg::Transaction& tx) { return TendLagTables(tx, now_ms, now_ms); });
  }
  std::set<std::string> Tables(const char* parent) {
    std::set<std::string> names;
    Run([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto rows, tx.Exec("select inhrelid::regclass::text from pg_inherits "
                                          "where inhparent = to_regclass($1)",
                                          {parent}));
      for (size_t i = 0; i < rows.size(); ++i) names.insert(rows[i].Text(0));
      return {};
    });
    return names;
  }
  // Minutes of looks 10 s apart from `from_ms` on: what waits is the number of the look.
  void WriteMinutes(int64_t from_ms, int minutes) {
    std::vector<LagRow> rows;
    int64_t look = 0;
    for (int m = 0; m < minutes; ++m) {
      std::vector<LagPoint> points;
      int64_t begun_ms = from_ms + m * kLagMinute;
      for (int i = 0; i < 6; ++i, ++look) {
        points.push_back({begun_ms + i * 10'000, look, look / 10, 7 * look, {look, 0}});
      }
      rows.push_back({begun_ms, subscription_, PackLag(begun_ms, points)});
    }
    Run([&](pg::Transaction& tx) { return WriteLagMinutes(tx, rows); });
  }
  bool SumUp(int64_t hour_ms) {
    bool made = false;
    Run([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(made, SumUpLagHour(tx, hour_ms));
      return {};
    });
    return made;
  }
  std::vector<LagPoint> Read(int64_t from_ms, int64_t to_ms, bool fine) {
    LagPoints points;
    Run([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(points,
                       ReadLagPoints(tx, {subscription_, Uuid::Random()}, from_ms, to_ms, fine));
      return {};
    });
    EXPECT_LE(points.size(), 1u);
    return points[subscription_];
  }

  Uuid subscription_ = Uuid::Random();
};

TEST_F(LagArchives, TablesAreMadeAheadAndDroppedWhole) {
  Tend(kNow);
  auto minutes = Tables("lag_minutes");
  EXPECT_EQ(minutes.size(), 2u) << "this one and the next";
  EXPECT_EQ(Tables("lag_hours").size(), 3u) << "and the day before, of which there may be minutes";
  Tend(kNow);
  EXPECT_EQ(Tables("lag_minutes"), minutes) << "nothing is made twice";
  WriteMinutes(kNow, 2);
  Tend(kNow + kLagMinutesKept - kLagMinute);
  EXPECT_TRUE(Tables("lag_minutes").contains(*minutes.begin()));
  EXPECT_EQ(Read(kNow, kNow + kLagHour, true).size(), 12u);
  Tend(kNow + kLagMinutesKept + 12 * kLagHour);
  EXPECT_FALSE(Tables("lag_minutes").contains(*minutes.begin()));
  EXPECT_TRUE(Read(kNow, kNow + kLagHour, true).empty());
  EXPECT_LE(Tables("lag_minutes").size(), 6u);
  Tend(kNow + 2 * kLagHoursKept);
  EXPECT_EQ(Tables("lag_hours").size(), 3u) << "the others are past their time";
}

TEST_F(LagArchives, MinutesAreReadAsTheyWereWritten) {
  Tend(kNow);
  WriteMinutes(kNow, 3);
  auto points = Read(kNow + 20'000, kNow + 80'000, true);
  ASSERT_EQ(points.size(), 6u);
  EXPECT_EQ(points[0], (LagPoint{kNow + 20'000, 2, 0, 14, {2, 0}}));
  EXPECT_EQ(points[5].waiting, 7);
}

TEST_F(LagArchives, AnHourIsMadeOnceOfItsMinutes) {
  Tend(kNow);
  WriteMinutes(kNow, 61);
  EXPECT_TRUE(SumUp(kNow));
  EXPECT_FALSE(SumUp(kNow)) << "it is there";
  EXPECT_FALSE(SumUp(kNow + 2 * kLagHour)) << "nobody looked";
  auto points = Read(kNow, kNow + 2 * kLagHour, false);
  ASSERT_EQ(points.size(), 12u + 6u) << "and the minute that is in no hour yet";
  EXPECT_EQ(points[0], (LagPoint{kNow, 29, 2, 7 * 29, {29, 0}})) << "the worst of five minutes";
  EXPECT_EQ(points[11].waiting, 359);
  EXPECT_EQ(points[12].at_ms, kNow + kLagHour);
  EXPECT_EQ(Read(kNow, kNow + 2 * kLagHour, true).size(), 366u);
}

LagBoard BoardOf(const Uuid& subscription, int64_t at_ms, int64_t unread) {
  auto entity = std::make_shared<broker::Entity>();
  entity->uuid = subscription;
  LagBoard board;
  board.at_ms = at_ms;
  LagBoard::Subscription row;
  row.entity = entity;
  row.figures.unread = unread;
  row.figures.partitions = {{.next = 0, .end = unread}};
  board.subscriptions.push_back(std::move(row));
  return board;
}

class LagArchiveWrites : public LagArchives {
 protected:
  std::vector<LagPoint> Ask(LagArchive& archive) {
    std::optional<Result<LagPoints>> answer;
    archive.Read({subscription_}, 0, now_ms_ + kLagHour, true,
                 [&](Result<LagPoints> points) { answer = std::move(points); });
    EXPECT_TRUE(loop_.RunUntil([&] { return answer.has_value(); }, 10s));
    EXPECT_TRUE(answer->ok());
    return (**answer)[subscription_];
  }
  size_t Durable() { return Read(0, now_ms_ + kLagHour, true).size(); }
  void Flush(LagArchive& archive) {
    bool done = false;
    archive.Flush([&] { done = true; });
    EXPECT_TRUE(loop_.RunUntil([&] { return done; }, 10s));
  }

  int64_t now_ms_ = ToMillis(loop_.Now()) / kLagMinute * kLagMinute;
};

TEST_F(LagArchiveWrites, AMinuteIsDurableWhenItIsOver) {
  LagArchive archive(loop_, *pool_, [] { return true; });
  for (int64_t second = 0; second < 60; second += 5) {
    archive.Take(BoardOf(subscription_, now_ms_ + second * 1'000, second));
  }
  EXPECT_EQ(Ask(archive).size(), 6u) << "one each 10 s, not written yet";
  EXPECT_EQ(Durable(), 0u);
  archive.Take(BoardOf(subscription_, now_ms_ + 61'000, 61));
  EXPECT_TRUE(loop_.RunUntil([&] { return Durable() == 6; }, 10s));
  EXPECT_EQ(Ask(archive).size(), 7u);
  Flush(archive);
  EXPECT_EQ(Durable(), 7u) << "at the end the rest too";
  Flush(archive);
  EXPECT_EQ(Durable(), 7u) << "and once";
}

TEST_F(LagArchiveWrites, WhoDoesNotLeadWritesNothing) {
  bool leads = false;
  LagArchive archive(loop_, *pool_, [&] { return leads; });
  archive.Take(BoardOf(subscription_, now_ms_, 1));
  Flush(archive);
  EXPECT_EQ(Tables("lag_minutes").size(), 0u);
  leads = true;
  archive.Take(BoardOf(subscription_, now_ms_ + 10'000, 2));
  leads = false;
  archive.Take(BoardOf(subscription_, now_ms_ + 20'000, 3));
  EXPECT_TRUE(loop_.RunUntil([&] { return Tables("lag_minutes").size() > 0; }, 10s));
  Flush(archive);
  auto points = Read(0, now_ms_ + kLagHour, true);
  ASSERT_EQ(points.size(), 1u) << "what it saw while it led";
  EXPECT_EQ(points[0].waiting, 2);
}

TEST_F(LagArchiveWrites, WhatCouldNotBeWrittenIsWrittenLaterUpToTenMinutes) {
  Run([](pg::Transaction& tx) { return tx.ExecScript("alter table lag_minutes rename to gone"); });
  LagArchive archive(loop_, *pool_, [] { return true; });
  for (int minute = 0; minute < 14; ++minute) {
    archive.Take(BoardOf(subscription_, now_ms_ + minute * kLagMinute, minute));
    Flush(archive);
  }
  Run([](pg::Transaction& tx) { return tx.ExecScript("alter table gone rename to lag_minutes"); });
  Flush(archive);
  auto points = Read(0, now_ms_ + kLagHour, true);
  ASSERT_GE(points.size(), 10u);
  EXPECT_LE(points.size(), 11u);
  EXPECT_EQ(points.back().waiting, 13);
}

}  // namespace
}  // namespace dispatch::lag_archive_contract
