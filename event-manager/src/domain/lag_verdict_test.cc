#include "event-manager/src/domain/lag_verdict.h"

#include <gtest/gtest.h>

#include <functional>

namespace dispatch::lag_verdict_test {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;  // 2027-01-15 08:00:00 UTC
constexpr int64_t kSecond = 1'000;

struct Case {
  const char* name;
  std::function<void(LagSituation&)> change;
  LagState state;
  std::string text;  // part of it
};

// A subscription with ten events pending, the oldest two seconds old, that moves.
LagSituation Working() {
  LagSituation s;
  s.now_ms = kNow;
  s.figures.matched = 100;
  s.figures.delivered = 90;
  s.figures.queued = 10;
  s.figures.oldest_ms = kNow - 2 * kSecond;
  s.trend.span_ms = 20 * kSecond;
  s.trend.settled_rate = 10;
  s.trend.arrival_rate = 5;
  return s;
}

void Idle(LagSituation& s) {
  s.figures.queued = 0;
  s.figures.oldest_ms = 0;
}

void Old(LagSituation& s) { s.figures.oldest_ms = kNow - 300 * kSecond; }

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases{
      {"under way", [](auto&) {}, LagState::kOk, "10 events under way, the oldest 2 s old"},
      {"nothing outstanding", Idle, LagState::kOk, "all is delivered"},
      {"never matched",
       [](auto& s) {
         s.figures = {};
         s.trend = {};
       },
       LagState::kOk, "nothing has matched yet"},
      {"never matched, with errors",
       [](auto& s) {
         s.figures = {};
         s.trend = {};
         s.figures.filter_errors.Add(1, {2, {{"cast", 2}, {"math", 1}}, 40, kNow - 90 * kSecond});
         s.figures.filter_errors.Add(0, {1, {{"cast", 1}}, 3, kNow - 300 * kSecond});
       },
       LagState::kOk,
       "nothing has matched yet; its filters ended with an error for 3 events (cast, "
       "math), the last at "},
      {"matched, with errors",
       [](auto& s) {
         Idle(s);
         s.figures.filter_errors.Add(0, {1, {{"cast", 1}}, 3, kNow});
       },
       LagState::kOk, "all is delivered or dead-lettered"},
      {"lost long ago",
       [](auto& s) {
         Idle(s);
         s.figures.lost = 7;
       },
       LagState::kOk, "7 were lost before"},
      {"a failure that is over",
       [](auto& s) {
         Idle(s);
         s.progress.last_failure = "503 from http://h";
       },
       LagState::kOk, "all is delivered"},
      {"catching up",
       [](auto& s) {
         s.figures.mode = LagMode::kCatchingUp;
         s.figures.unread = 990;
         Old(s);
       },
       LagState::kBusy, "catching up: 1000 events left, the oldest 5 min old, done in about 3 min"},
      {"behind and draining", Old, LagState::kBusy, "done in about 2 s"},
      {"falls behind",
       [](auto& s) {
         Old(s);
         s.trend.never_lower = true;
         s.trend.arrival_rate = 12;
       },
       LagState::kSlow, "falls behind: 12.0/s come, 10.0/s go"},
      {"grows a little and is young",
       [](auto& s) {
         s.trend.never_lower = true;
         s.trend.arrival_rate = 12;
       },
       LagState::kOk, "under way"},
      {"stalled",
       [](auto& s) {
         Old(s);
         s.trend.unmoved_ms = 60 * kSecond;
       },
       LagState::kStalled, "nothing delivered since 07:59 UTC; 10 events waiting"},
      {"stalled with a hanging endpoint",
       [](auto& s) {
         Old(s);
         s.trend.unmoved_ms = 60 * kSecond;
         s.figures.queued = 6;
         s.figures.in_flight = 4;
       },
       LagState::kStalled, "4 in flight without an answer"},
      {"stalled soon, as more was to be expected",
       [](auto& s) {
         s.trend.unmoved_ms = 5 * kSecond;
         s.trend.cleared_lately = true;
         s.figures.in_flight = 4;
       },
       LagState::kStalled, "nothing delivered since 07:59 UTC, 4 in flight without an answer"},
      {"still for a moment, as it often is",
       [](auto& s) {
         s.trend.unmoved_ms = 5 * kSecond;
         s.trend.settled_rate = 0.5;
       },
       LagState::kOk, "under way"},
      {"skewed",
       [](auto& s) {
         s.figures.unread = 2'000;
         s.figures.partitions = {{.next = 5, .end = 105}, {.next = 100, .end = 2'000}};
       },
       LagState::kSkewed,
       "skewed: partition 1 has 1900 of 2000 unread events, the oldest 2 s old, done in about 7 "
       "min"},
      {"even enough",
       [](auto& s) {
         s.figures.unread = 2'000;
         s.figures.partitions = {{.next = 0, .end = 500}, {.next = 0, .end = 1'500}};
       },
       LagState::kOk, "under way"},
      {"one partition, so never skewed",
       [](auto& s) {
         s.figures.unread = 2'000;
         s.figures.partitions = {{.next = 0, .end = 2'000}};
       },
       LagState::kOk, "under way"},
      {"unmoved, but it was all done a moment ago",
       [](auto& s) {
         s.trend.unmoved_ms = 60 * kSecond;
         s.trend.cleared_lately = true;
       },
       LagState::kOk, "under way"},
      {"failing",
       [](auto& s) {
         s.figures.queued = 0;
         s.figures.retrying = 10;
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
       },
       LagState::kStalled, "503 from http://h since 07:58 UTC; 10 events retrying"},
      {"failing since yesterday",
       [](auto& s) {
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 24 * 3'600 * kSecond;
       },
       LagState::kStalled, "since 08:00 UTC (24.0 h ago)"},
      {"some fail",
       [](auto& s) {
         s.progress.last_failure = "500 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
         s.progress.last_success_ms = kNow - kSecond;
       },
       LagState::kFailing, "500 from http://h since 07:58 UTC"},
      {"attempts go well again, and some that failed wait for their next",
       [](auto& s) {
         s.figures.queued = 0;
         s.figures.retrying = 2;
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
         s.progress.last_failure_ms = kNow - 3 * kSecond;
         s.progress.last_success_ms = kNow - kSecond;
       },
       LagState::kBusy, "attempts go well again; 2 events waiting for the next one"},
      {"attempts go well again, and more is under way",
       [](auto& s) {
         s.figures.retrying = 2;
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
         s.progress.last_failure_ms = kNow - 3 * kSecond;
         s.progress.last_success_ms = kNow - kSecond;
       },
       LagState::kOk, "12 events under way"},
      {"one failed a moment ago",
       [](auto& s) {
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
         s.progress.last_failure_ms = kNow - 2 * kSecond;
         s.progress.last_success_ms = kNow - kSecond;
       },
       LagState::kFailing, "503 from http://h"},
      {"none went well since the last failure",
       [](auto& s) {
         s.progress.last_failure = "503 from http://h";
         s.progress.failing_since_ms = kNow - 120 * kSecond;
         s.progress.last_failure_ms = kNow - 60 * kSecond;
         s.progress.last_success_ms = kNow - 90 * kSecond;
       },
       LagState::kFailing, "503 from http://h"},
      {"a key is in the way, others flow",
       [](auto& s) {
         s.progress.last_failure = "503 from http://h";
         s.progress.last_success_ms = kNow;
         s.progress.blocked = {
             1, 4, {{"k", 4, kNow - 120 * kSecond, 3, 503, "503 from http://h", kNow + 20'000}}};
       },
       LagState::kFailing,
       "one key blocks 4 events: 503 from http://h since 07:58 UTC, tried again in 20 s; 10 events "
       "waiting, the oldest 2 s old"},
      {"keys are in the way of all that is left",
       [](auto& s) {
         s.progress.blocked = {2, 8, {{"k", 7, kNow - 120 * kSecond}, {"l", 1, kNow}}};
       },
       LagState::kStalled, "2 keys block 8 events: no answer since 07:58 UTC; 10 events waiting"},
      {"keys are in the way, as of all others",
       [](auto& s) {
         s.progress.blocked = {2, 8, {{"k", 7, kNow}, {"l", 1, kNow}}};
         s.progress.circuit = schema::Circuit{schema::CircuitState::kOpen, kNow, "503"};
       },
       LagState::kStalled, "circuit open: 503"},
      {"circuit open",
       [](auto& s) {
         s.progress.last_failure = "503 from http://h";
         s.progress.circuit = schema::Circuit{schema::CircuitState::kOpen, kNow - 60 * kSecond,
                                              "503 from http://h since 07:59:00Z"};
       },
       LagState::kStalled, "circuit open: 503 from http://h since 07:59:00Z; 10 events waiting"},
      {"circuit half open",
       [](auto& s) {
         s.progress.circuit =
             schema::Circuit{schema::CircuitState::kHalfOpen, kNow - 60 * kSecond, "timeout"};
       },
       LagState::kStalled, "circuit half open: timeout"},
      {"circuit closed", [](auto& s) { s.progress.circuit = schema::Circuit{}; }, LagState::kOk,
       "under way"},
      {"paused",
       [](auto& s) {
         s.figures.mode = LagMode::kPaused;
         s.figures.queued = 0;
         s.figures.unread = 1;
         s.trend.unmoved_ms = 600 * kSecond;
       },
       LagState::kPaused, "paused; 1 event unread, the oldest 2 s old"},
      {"paused with something under way", [](auto& s) { s.figures.mode = LagMode::kPaused; },
       LagState::kPaused, "paused; 10 events still pending"},
      {"disabled",
       [](auto& s) {
         s.disabled = "410 from http://h";
         s.figures.mode = LagMode::kPaused;
       },
       LagState::kDisabled, "disabled: 410 from http://h"},
      {"losing",
       [](auto& s) {
         s.trend.lost = 5;
         s.figures.lost = 12;
       },
       LagState::kLosing, "retention took 5 events in the last 20 s, 12 in all"},
      {"losing is worse than failing",
       [](auto& s) {
         s.trend.lost = 5;
         s.progress.last_failure = "503";
       },
       LagState::kLosing, "loses events"},
      {"retention is close",
       [](auto& s) {
         Old(s);
         s.figures.unread = 1;
         s.figures.oldest_unread_ms = kNow - 300 * kSecond;
         s.retention_ms = 400 * kSecond;
       },
       LagState::kRetentionRisk, "retention passes the cursor in 100 s: 1 event unread"},
      {"retention is at it, while it is paused, and took some before",
       [](auto& s) {
         s.figures.mode = LagMode::kPaused;
         s.figures.unread = 4;
         s.figures.lost = 3;
         s.figures.oldest_unread_ms = kNow - 400 * kSecond;
         s.retention_ms = 400 * kSecond;
       },
       LagState::kRetentionRisk,
       "passes the cursor at any moment: 4 events unread, the oldest 2 s old; 3 were lost before; "
       "paused"},
      {"retention is far",
       [](auto& s) {
         s.figures.mode = LagMode::kPaused;
         s.figures.unread = 4;
         s.figures.oldest_unread_ms = kNow - 200 * kSecond;
         s.retention_ms = 400 * kSecond;
       },
       LagState::kPaused, "paused; 4 events unread"},
      {"bytes are bounded, and the log is cut close behind",
       [](auto& s) {
         s.figures.partitions = {{.next = 1'200, .end = 2'000, .earliest = 1'000}};
         s.figures.unread = 800;
         s.bounded_bytes = true;
         s.trend.log_rate = 10;
       },
       LagState::kRetentionRisk, "retention passes the cursor in 20 s"},
      {"bytes are bounded, and the log was never cut",
       [](auto& s) {
         s.figures.partitions = {{.next = 200, .end = 2'000, .earliest = 0}};
         s.figures.unread = 1'800;
         s.bounded_bytes = true;
         s.trend.log_rate = 10;
       },
       LagState::kOk, "under way"},
      {"losing, and more of it to come",
       [](auto& s) {
         s.trend.lost = 5;
         s.figures.lost = 12;
         s.figures.unread = 4;
         s.figures.oldest_unread_ms = kNow - 398 * kSecond;
         s.retention_ms = 400 * kSecond;
       },
       LagState::kLosing, "12 in all; retention passes the cursor in 2 s"},
      {"old in the retry store: retention of the topic cannot take it",
       [](auto& s) {
         Old(s);
         s.retention_ms = 400 * kSecond;
       },
       LagState::kBusy, "catching up"},
      {"nobody reads a partition",
       [](auto& s) {
         s.unowned = {2};
         s.figures.unread = 3;
       },
       LagState::kStopped, "no event-manager reads partition 2; 3 events unread"},
      {"its owner is dead, and the group does not know",
       [](auto& s) {
         s.figures.unread = 3;
         s.figures.partitions = {{.next = 5, .end = 5},
                                 {.next = 7, .end = 10, .next_ms = kNow - 61 * kSecond}};
         s.still_since_ms = {0, kNow - 2 * kSecond};
       },
       LagState::kStopped, "no event-manager reads partition 1 since 07:58 UTC; 3 events unread"},
      {"has not been read for a moment",
       [](auto& s) {
         s.figures.unread = 3;
         s.figures.partitions = {{.next = 7, .end = 10, .next_ms = kNow - 61 * kSecond}};
         s.still_since_ms = {kNow - kSecond};
       },
       LagState::kOk, "under way"},
      {"is not read because too much is pending",
       [](auto& s) {
         s.figures.unread = 3;
         s.figures.partitions = {{.next = 7, .end = 10, .next_ms = kNow - 9 * kSecond}};
         s.still_since_ms = {kNow - 9 * kSecond};
         s.most_pending = 20;
       },
       LagState::kOk, "under way"},
      {"is not read because the circuit is open",
       [](auto& s) {
         s.figures.unread = 3;
         s.figures.partitions = {{.next = 7, .end = 10, .next_ms = kNow - 9 * kSecond}};
         s.still_since_ms = {kNow - 9 * kSecond};
         s.progress.circuit = schema::Circuit{schema::CircuitState::kOpen, kNow - 9 * kSecond, "x"};
       },
       LagState::kStalled, "circuit open"},
      {"nobody reads",
       [](auto& s) {
         s.unowned = {0, 1};
         s.figures.unread = 3;
       },
       LagState::kStopped, "no event-manager reads 2 of its partitions"},
      {"function-manager is silent",
       [](auto& s) {
         s.no_invoker = true;
         s.progress.heard_ms = kNow - 60 * kSecond;
       },
       LagState::kStopped,
       "no function-manager delivers, none was heard since 07:59 UTC; 10 events pending"},
      {"function-manager is silent, and nothing is to do",
       [](auto& s) {
         Idle(s);
         s.no_invoker = true;
       },
       LagState::kOk, "all is delivered"},
  };
  return cases;
}

TEST(LagVerdictTest, Situations) {
  for (const auto& c : Cases()) {
    LagSituation s = Working();
    c.change(s);
    LagVerdict verdict = JudgeLag(s);
    EXPECT_STREQ(LagStateName(verdict.state), LagStateName(c.state)) << c.name;
    EXPECT_NE(verdict.text.find(c.text), std::string::npos) << c.name << ": " << verdict.text;
  }
}

TEST(LagVerdictTest, TimeToDrain) {
  LagSituation s = Working();
  EXPECT_DOUBLE_EQ(JudgeLag(s).drain_seconds.value(), 2.0);
  s.trend.arrival_rate = -3;  // what did not match any more does not drain
  EXPECT_DOUBLE_EQ(JudgeLag(s).drain_seconds.value(), 1.0);
  s.trend.arrival_rate = 10;
  EXPECT_FALSE(JudgeLag(s).drain_seconds);
  s.trend = {};
  EXPECT_FALSE(JudgeLag(s).drain_seconds);
  Idle(s);
  EXPECT_DOUBLE_EQ(JudgeLag(s).drain_seconds.value(), 0.0);
}

TEST(LagVerdictTest, WhatIsUnreadIsSaidOnceOfWhatIsPausedAndAtRisk) {
  LagSituation s = Working();
  s.figures.mode = LagMode::kPaused;
  s.figures.queued = 0;
  s.figures.unread = 4;
  s.figures.oldest_unread_ms = kNow - 400 * kSecond;
  s.retention_ms = 400 * kSecond;
  EXPECT_EQ(
      JudgeLag(s).text,
      "retention passes the cursor at any moment: 4 events unread, the oldest 2 s old; paused");
}

TEST(LagVerdictTest, CauseAndSince) {
  LagSituation s = Working();
  s.progress.last_failure = "503 from http://h";
  s.progress.failing_since_ms = kNow - 5 * kSecond;
  LagVerdict verdict = JudgeLag(s);
  EXPECT_EQ(verdict.cause, "503 from http://h");
  EXPECT_EQ(verdict.since_ms, kNow - 5 * kSecond);
}

TEST(LagHistoryTest, RatesOverTheSamples) {
  LagHistory history;
  EXPECT_EQ(history.Trend().span_ms, 0);
  history.Add({0, 0, 0, 100, 0});
  EXPECT_EQ(history.Trend().span_ms, 0);
  history.Add({10'000, 50, 50, 80, 0});
  history.Add({20'000, 100, 100, 90, 2});
  LagTrend trend = history.Trend();
  EXPECT_EQ(trend.span_ms, 20'000);
  EXPECT_DOUBLE_EQ(trend.settled_rate, 5);
  EXPECT_DOUBLE_EQ(trend.arrival_rate, 4.5);
  EXPECT_EQ(trend.lost, 2);
  EXPECT_FALSE(trend.never_lower);
  EXPECT_FALSE(trend.cleared_lately);
}

TEST(LagHistoryTest, UnmovedFromTheLastSettled) {
  LagHistory history;
  history.Add({0, 5, 5, 0, 0});
  history.Add({10'000, 5, 5, 0, 0});
  history.Add({20'000, 5, 5, 3, 0});
  EXPECT_EQ(history.Trend().unmoved_ms, 10'000);
  EXPECT_TRUE(history.Trend().cleared_lately);
  history.Add({30'000, 6, 6, 2, 0});
  EXPECT_EQ(history.Trend().unmoved_ms, 0);
}

TEST(LagHistoryTest, SamplesThatComeSoonReplaceTheNewest) {
  LagHistory history;
  for (int64_t ms = 0; ms <= 100'000; ms += 100) history.Add({ms, ms, ms, 1, 0});
  EXPECT_EQ(history.newest().at_ms, 100'000);
  EXPECT_GE(history.Trend().span_ms, 50'000);
  EXPECT_LE(history.Trend().span_ms, 62'000);
}

TEST(PlaceHistoryTest, StandsSinceTheFirstLookThatFoundItThere) {
  PlaceHistory places;
  EXPECT_TRUE(places.still_since_ms().empty());
  places.Add(1'000, {{.next = 5, .end = 9}, {.next = 3, .end = 3}});
  EXPECT_EQ(places.still_since_ms(), (std::vector<int64_t>{0, 0}));
  places.Add(2'000, {{.next = 5, .end = 9}, {.next = 3, .end = 3}});
  places.Add(3'000, {{.next = 5, .end = 12}, {.next = 3, .end = 3}, {.next = 0, .end = 1}});
  EXPECT_EQ(places.still_since_ms(), (std::vector<int64_t>{1'000, 0, 0})) << "the rest is read";
  places.Add(4'000, {{.next = 6, .end = 12}, {.next = 3, .end = 4}, {.next = 0, .end = 1}});
  EXPECT_EQ(places.still_since_ms(), (std::vector<int64_t>{0, 3'000, 3'000}))
      << "all was read then";
}

TEST(LagVerdictTest, WhatIsScheduledIsNotLate) {
  LagSituation s = Working();
  Idle(s);
  s.figures.scheduled = 3;
  LagVerdict verdict = JudgeLag(s);
  EXPECT_EQ(verdict.state, LagState::kOk);
  EXPECT_EQ(verdict.text, "all that is due is delivered; 3 events scheduled for later");
  EXPECT_DOUBLE_EQ(verdict.drain_seconds.value(), 0.0);
  EXPECT_EQ(s.figures.pending(), 3);
  EXPECT_EQ(s.figures.outstanding(), 0);
  s.trend.unmoved_ms = 60 * kSecond;
  s.no_invoker = true;
  EXPECT_EQ(JudgeLag(s).state, LagState::kOk);
}

TEST(LagVerdictTest, AsMuchIsScheduledAsMayBe) {
  LagSituation s = Working();
  s.most_scheduled = 1000;
  s.figures.scheduled = 1000;
  EXPECT_EQ(JudgeLag(s).state, LagState::kOk) << "nothing waits for it";
  s.figures.unread = 5;
  LagVerdict verdict = JudgeLag(s);
  EXPECT_EQ(verdict.state, LagState::kSlow);
  EXPECT_NE(verdict.text.find("1000 events are scheduled for later, as many as may be"),
            std::string::npos)
      << verdict.text;
  EXPECT_NE(verdict.text.find("5 events unread"), std::string::npos) << verdict.text;
}

TEST(LagFiguresTest, ConservesAndCountsWhatIsBetweenTheManagers) {
  schema::Subscription subscription;
  subscription.uuid.bytes[0] = 1;
  subscription.topic_uuid.bytes[0] = 2;
  LagCheckpoints checkpoints;
  auto& checkpoint = checkpoints[{subscription.topic_uuid, 0}];
  checkpoint.position = 40;
  checkpoint.state.counters.push_back({subscription.uuid, 1, 30, 2});
  checkpoint.cursors[subscription.uuid] = {subscription.uuid, 1, 10, kForever, std::nullopt, 0};
  ProgressSum progress;
  progress.counters = {27, 20, 1, 1};
  progress.queued = 1;
  progress.in_flight = 1;
  progress.retrying = 1;
  progress.scheduled = 2;
  auto lag = MeasureLag(subscription, checkpoints, {{5, 50}, {0, 7}}, progress);
  EXPECT_EQ(lag.matched, 30);
  EXPECT_EQ(lag.queued, 4);
  EXPECT_EQ(lag.scheduled, 2);
  EXPECT_EQ(lag.matched, lag.settled() + lag.pending());
  EXPECT_EQ(lag.conservation_error, 0);
  EXPECT_EQ(lag.unread, 10 + 7);
  EXPECT_EQ(lag.lost, 2);
  progress.counters.received = 31;  // the checkpoint is behind
  progress.retrying = 4;
  lag = MeasureLag(subscription, checkpoints, {{5, 50}}, progress);
  EXPECT_EQ(lag.matched, 31);
  EXPECT_EQ(lag.unread, 10 - 1) << "what was taken in was read";
  EXPECT_EQ(lag.conservation_error, 1);
  EXPECT_EQ(lag.partitions[0].unread(), 10) << "which of them is not known";
}

TEST(LagFiguresTest, WithNothingUnreadEachPartitionIsAtItsEnd) {
  schema::Subscription subscription;
  subscription.uuid.bytes[0] = 1;
  LagCheckpoints checkpoints;
  for (int32_t p = 0; p < 2; ++p) {
    auto& checkpoint = checkpoints[{subscription.topic_uuid, p}];
    checkpoint.position = p == 0 ? 40 : 7;
    checkpoint.cursors[subscription.uuid] = {subscription.uuid, 1, 0, kForever, std::nullopt, 0};
  }
  ProgressSum progress;
  progress.counters = {12, 12, 0, 0};  // the checkpoints are behind
  auto lag = MeasureLag(subscription, checkpoints, {{0, 50}, {0, 9}}, progress);
  EXPECT_EQ(lag.unread, 0);
  ASSERT_EQ(lag.partitions.size(), 2U);
  for (const auto& partition : lag.partitions) {
    EXPECT_EQ(partition.unread(), 0);
    EXPECT_EQ(partition.next, partition.end);
  }
}

TEST(LagFiguresTest, WhatRetentionPassedIsLostWhileNobodyReads) {
  schema::Subscription subscription;
  subscription.uuid.bytes[0] = 1;
  LagCheckpoints checkpoints;
  auto& checkpoint = checkpoints[{subscription.topic_uuid, 0}];
  checkpoint.position = 40;
  checkpoint.state.counters.push_back({subscription.uuid, 1, 30, 2});
  checkpoint.cursors[subscription.uuid] = {subscription.uuid, 1, kForever, kForever, 12, 0};
  auto lag = MeasureLag(subscription, checkpoints, {{20, 50}}, {});
  EXPECT_EQ(lag.lost, 2 + 8);
  EXPECT_EQ(lag.unread, 30);
}

TEST(LagFiguresTest, AddsTheErrorsOfItsPartitions) {
  schema::Subscription subscription;
  subscription.uuid.bytes[0] = 1;
  LagCheckpoints checkpoints;
  for (int32_t p = 0; p < 2; ++p) {
    auto& counters = checkpoints[{subscription.topic_uuid, p}].state.counters;
    counters.push_back({Uuid{}, 1, 0, 0, {9, {{"math", 9}}, 9, 9'000}});  // another's
    counters.push_back({subscription.uuid, 1, 0, 0, {1 + p, {{"cast", 1}}, 5 + p, 700 - p}});
  }
  auto errors = MeasureLag(subscription, checkpoints, {{0, 9}, {0, 9}, {0, 9}}, {}).filter_errors;
  EXPECT_EQ(errors.events, 3);
  EXPECT_EQ(errors.kinds, (std::map<std::string, int64_t>{{"cast", 2}}));
  EXPECT_EQ(errors.last_ms, 700);
  EXPECT_EQ(errors.last_partition, 0);
  EXPECT_EQ(errors.last_offset, 5);
}

TEST(LagFiguresTest, PausedAndCatchingUp) {
  schema::Subscription subscription;
  subscription.uuid.bytes[0] = 1;
  LagCheckpoints checkpoints;
  auto& checkpoint = checkpoints[{subscription.topic_uuid, 0}];
  checkpoint.position = 40;
  checkpoint.cursors[subscription.uuid] = {subscription.uuid, 1, kForever, kForever, 12, 0};
  EXPECT_EQ(MeasureLag(subscription, checkpoints, {{0, 50}}, {}).unread, 38);
  checkpoint.cursors.clear();
  schema::MatchCheckpoint::Session session;
  session.position = 20;
  session.members.push_back({subscription.uuid, 1, 5, std::nullopt});
  checkpoint.state.sessions.push_back(session);
  auto lag = MeasureLag(subscription, checkpoints, {{0, 50}}, {});
  EXPECT_EQ(lag.unread, 30);
  EXPECT_EQ(lag.mode, LagMode::kCatchingUp);
}

}  // namespace
}  // namespace dispatch::lag_verdict_test
