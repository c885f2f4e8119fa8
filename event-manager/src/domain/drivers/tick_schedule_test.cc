#include "event-manager/src/domain/drivers/tick_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::tick_schedule_test {
namespace {

using ::testing::ElementsAre;

// All ticks that come at once at `now`.
std::vector<int64_t> Due(const TickSchedule& schedule, TickPosition& position, int64_t now,
                         int64_t* skipped) {
  std::vector<int64_t> due;
  *skipped = 0;
  for (;;) {
    auto tick = schedule.Next(position, now);
    if (!tick) return due;
    if (tick->due > now) {
      *skipped += tick->skipped;
      return due;
    }
    *skipped += tick->skipped;
    due.push_back(tick->due);
    position.last = tick->due;
  }
}

TEST(TickSchedule, ComesAtTheTimesOfAGridFromItsBegin) {
  TickSchedule schedule(CronSpec::Every(10), 60);
  TickPosition position{.begin = 1'003, .last = 1'003};
  EXPECT_EQ(schedule.Next(position, 1'003)->due, 1'013);
  EXPECT_EQ(schedule.Next(position, 1'012)->due, 1'013);
  position.last = 1'013;
  EXPECT_EQ(schedule.Next(position, 1'013)->due, 1'023);
  EXPECT_EQ(schedule.Next(position, 1'013)->skipped, 0);
}

TEST(TickSchedule, WhatWasMissedIsMadeUpForInOrder) {
  TickSchedule schedule(CronSpec::Every(10), 60);
  TickPosition position{.begin = 1'000, .last = 1'000};
  int64_t skipped = 0;
  EXPECT_THAT(Due(schedule, position, 1'045, &skipped), ElementsAre(1'010, 1'020, 1'030, 1'040));
  EXPECT_EQ(skipped, 0);
}

TEST(TickSchedule, BeyondTheLimitTheOldestArePassedOver) {
  TickSchedule schedule(CronSpec::Every(10), 2);
  TickPosition position{.begin = 1'000, .last = 1'000};
  int64_t skipped = 0;
  EXPECT_THAT(Due(schedule, position, 1'100, &skipped), ElementsAre(1'080, 1'090, 1'100));
  EXPECT_EQ(skipped, 7);
}

TEST(TickSchedule, WithoutCatchingUpOnlyWhatIsDueNowComes) {
  TickSchedule schedule(CronSpec::Every(10), 0);
  TickPosition position{.begin = 1'000, .last = 1'000};
  int64_t skipped = 0;
  EXPECT_THAT(Due(schedule, position, 1'045, &skipped), ElementsAre());
  EXPECT_EQ(skipped, 4);
  EXPECT_EQ(schedule.Next(position, 1'045)->due, 1'050);
  EXPECT_THAT(Due(schedule, position, 1'050, &skipped), ElementsAre(1'050));
  EXPECT_EQ(skipped, 4);
}

TEST(TickSchedule, AYearOfSecondsIsPassedOverAtOnce) {
  TickSchedule schedule(CronSpec::Every(1), 3);
  TickPosition position{.begin = 0, .last = 0};
  auto tick = schedule.Next(position, 31'536'000);
  ASSERT_TRUE(tick);
  EXPECT_EQ(tick->due, 31'536'000 - 3);
  EXPECT_GT(tick->skipped, 0);
}

TEST(TickSchedule, TheIdIsTheSameWhoeverMakesIt) {
  auto uuid = Uuid::Parse("01890000-0000-7000-8000-000000000001").value();
  EXPECT_EQ(TickId(uuid, 1'700'000'000), "01890000-0000-7000-8000-000000000001-1700000000");
}

TEST(TickPosition, IsReadAsItWasWritten) {
  TickPosition position{.schedule = "every 5",
                        .begin = 1,
                        .last = 6,
                        .settled = false,
                        .claimed_at_ms = 7,
                        .skipped = 2};
  auto read = TickPosition::Parse(position.ToJson());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ToJson(), position.ToJson());
  EXPECT_FALSE(TickPosition::Parse({}));
}

}  // namespace
}  // namespace dispatch::tick_schedule_test
