#include "event-manager/src/domain/drivers/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/rfc3339.h"

namespace dispatch::cron_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

int64_t At(const std::string& text) { return ToMillis(schema::ParseRfc3339(text).value()) / 1000; }

std::string Text(std::optional<int64_t> at) {
  return at ? schema::FormatRfc3339(FromMillis(*at * 1000)).substr(0, 19) : "never";
}

std::vector<std::string> After(const std::string& spec, const std::string& zone,
                               const std::string& from, int count) {
  auto parsed = CronSpec::Parse(spec, Zone::Named(zone).value());
  if (!parsed.ok()) return {parsed.message()};
  std::vector<std::string> out;
  int64_t at = At(from);
  for (int i = 0; i < count; ++i) {
    auto next = parsed->Next(at, At(from));
    out.push_back(Text(next));
    if (!next) break;
    at = *next;
  }
  return out;
}

TEST(Cron, TakesListsRangesStepsAndNames) {
  EXPECT_THAT(After("*/20 9-10 * * mon-fri", "UTC", "2026-11-20T10:30:00Z", 3),
              ElementsAre("2026-11-20T10:40:00", "2026-11-23T09:00:00", "2026-11-23T09:20:00"));
  EXPECT_THAT(After("15,45 30 12 1 jan,jul ?", "UTC", "2026-11-20T00:00:00Z", 3),
              ElementsAre("2027-01-01T12:30:15", "2027-01-01T12:30:45", "2027-07-01T12:30:15"));
  EXPECT_THAT(After("50/5 * * * *", "UTC", "2026-11-20T00:00:00Z", 3),
              ElementsAre("2026-11-20T00:50:00", "2026-11-20T00:55:00", "2026-11-20T01:50:00"));
  EXPECT_THAT(After("0 0 * * 7", "UTC", "2026-11-20T00:00:00Z", 1),
              ElementsAre("2026-11-22T00:00:00"));
}

TEST(Cron, EitherDayIsEnoughWhenBothAreRestricted) {
  EXPECT_THAT(After("0 0 25 * mon", "UTC", "2026-11-20T00:00:00Z", 3),
              ElementsAre("2026-11-23T00:00:00", "2026-11-25T00:00:00", "2026-11-30T00:00:00"));
}

TEST(Cron, FindsLeapDaysAndKnowsWhatNeverComes) {
  EXPECT_THAT(After("0 0 29 2 *", "UTC", "2026-11-20T00:00:00Z", 1),
              ElementsAre("2028-02-29T00:00:00"));
  EXPECT_THAT(After("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1),
              ElementsAre("2104-02-29T00:00:00"));
  EXPECT_THAT(After("0 0 30 2 *", "UTC", "2026-11-20T00:00:00Z", 1), ElementsAre("never"));
}

// Berlin: +1 until 29 March 2026 01:00 UTC, when 02:00 becomes 03:00.
TEST(Cron, WhatFallsIntoTheGapHappensOnceAtItsEnd) {
  EXPECT_THAT(After("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
              ElementsAre("2026-03-28T01:30:00", "2026-03-29T01:00:00", "2026-03-30T00:30:00"));
  EXPECT_THAT(After("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
              ElementsAre("2026-03-29T01:00:00", "2026-03-30T00:00:00"));
  EXPECT_THAT(After("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
              ElementsAre("2026-03-29T01:00:00", "2026-03-30T01:00:00"));
  // One that looks from the second before finds it too.
  EXPECT_THAT(After("30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", 1),
              ElementsAre("2026-03-29T01:00:00"));
}

// Berlin: 25 October 2026 01:00 UTC, when 03:00 becomes 02:00.
TEST(Cron, WhatComesTwiceHappensTheFirstTime) {
  EXPECT_THAT(After("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
              ElementsAre("2026-10-25T00:30:00", "2026-10-26T01:30:00"));
  EXPECT_THAT(After("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", 1),
              ElementsAre("2026-10-26T01:30:00"));
}

TEST(Cron, WithAnyHourEveryHourCountsAlsoTheRepeatedOne) {
  EXPECT_THAT(After("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
              ElementsAre("2026-10-25T00:30:00", "2026-10-25T01:30:00", "2026-10-25T02:30:00"));
  EXPECT_THAT(After("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
              ElementsAre("2026-03-29T00:30:00", "2026-03-29T01:30:00"));
}

TEST(Cron, TheZoneMayBeInTheSpecification) {
  EXPECT_THAT(After("CRON_TZ=America/New_York 0 12 * * *", "UTC", "2026-07-01T00:00:00Z", 1),
              ElementsAre("2026-07-01T16:00:00"));
  EXPECT_THAT(After("TZ=Mars/Olympus 0 12 * * *", "UTC", "2026-07-01T00:00:00Z", 1),
              ElementsAre(HasSubstr("no time zone")));
}

TEST(Cron, DescriptorsAndIntervals) {
  EXPECT_THAT(After("@weekly", "UTC", "2026-11-20T00:00:00Z", 1),
              ElementsAre("2026-11-22T00:00:00"));
  EXPECT_THAT(After("@every 90s", "UTC", "2026-11-20T00:00:10Z", 2),
              ElementsAre("2026-11-20T00:01:40", "2026-11-20T00:03:10"));
}

TEST(Cron, FaultsSayWhatIsWrong) {
  Zone utc = Zone::Named("UTC").value();
  auto fault = [&](const char* spec) { return CronSpec::Parse(spec, utc).message(); };
  EXPECT_THAT(fault("* * *"), HasSubstr("five fields"));
  EXPECT_THAT(fault("60 * * * *"), HasSubstr("'60' is no minute: it is from 0 to 59"));
  EXPECT_THAT(fault("* 5-3 * * *"), HasSubstr("ends before it begins"));
  EXPECT_THAT(fault("*/0 * * * *"), HasSubstr("step"));
  EXPECT_THAT(fault("@soon"), HasSubstr("@hourly"));
  EXPECT_THAT(fault("@every 10ms"), HasSubstr("1s or more"));
  EXPECT_THAT(fault(""), HasSubstr("not 0"));
  EXPECT_FALSE(Zone::Named("").ok());
}

}  // namespace
}  // namespace dispatch::cron_test
