#include "broker-adapters/kafka/internal/membership.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace dispatch::membership_test {
namespace {

using broker::kafka::Membership;

// The parts of librdkafka's statistics that count, in its order and spelling.
std::string Statistics(int64_t now, int64_t coordinator_idle, const std::string& state,
                       const std::string& join_state, int waiting = 0) {
  return fmt::format(
      R"({{ "name": "c#consumer-1", "ts":{}, "time":1, "age":5, "brokers":{{ )"
      R"("127.0.0.1:9092/1": {{ "name":"127.0.0.1:9092/1", "state":"UP", "rxidle":7, "x":1 }} , )"
      R"("GroupCoordinator": {{ "name":"GroupCoordinator", "nodeid":1, "state":"UP", )"
      R"("stateage":9, "waitresp_cnt":{}, "txidle":{}, "rx":4, "rxidle":{}, )"
      R"("toppars":{{ }} }} }}, "topics":{{ }} , )"
      R"("cgrp": {{ "state": "{}", "stateage": 8000, "join_state": "{}", "rebalance_age": 1 }}, )"
      R"("tx":2 }})",
      now, waiting, coordinator_idle, coordinator_idle, state, join_state);
}

TEST(Membership, TakesTheCoordinatorsLastAnswer) {
  EXPECT_EQ(Membership::ConfirmedAt(Statistics(1'000'000, 250'000, "up", "steady"), 0), 750'000);
  for (const char* join_state : {"wait-assign-call", "wait-unassign-call",
                                 "wait-incr-unassign-to-complete", "wait-unassign-to-complete"}) {
    EXPECT_EQ(Membership::ConfirmedAt(Statistics(9, 2, "up", join_state), 0), 7) << join_state;
  }
}

TEST(Membership, ConfirmsNothingOutsideTheGroup) {
  EXPECT_FALSE(Membership::ConfirmedAt(Statistics(9, 2, "wait-coord", "steady"), 0));
  for (const char* join_state : {"init", "wait-join", "wait-metadata", "wait-sync"}) {
    EXPECT_FALSE(Membership::ConfirmedAt(Statistics(9, 2, "up", join_state), 0)) << join_state;
  }
  EXPECT_FALSE(Membership::ConfirmedAt(Statistics(9, -1, "up", "steady"), 0)) << "not connected";
  EXPECT_FALSE(Membership::ConfirmedAt("{}", 5));
  EXPECT_FALSE(Membership::ConfirmedAt("", 5));
}

TEST(Membership, AMemberWithoutPartitionsHasAnEpoch) {
  EXPECT_EQ(Membership::ConfirmedAt(Statistics(9, 2, "up", "init"), 6), 7);
  EXPECT_FALSE(Membership::ConfirmedAt(Statistics(9, 2, "up", "wait-join"), 6));
}

TEST(Membership, SeesThatHeartbeatsAreNotAnswered) {
  auto unanswered = [](int64_t idle, const char* state, const char* join_state) {
    return Membership::Unanswered(Statistics(90'000'000, idle, state, join_state), 0,
                                  std::chrono::seconds(60));
  };
  EXPECT_TRUE(unanswered(60'000'000, "up", "steady"));
  EXPECT_FALSE(unanswered(59'000'000, "up", "steady"));
  EXPECT_FALSE(unanswered(60'000'000, "up", "wait-join")) << "others take their time";
  EXPECT_FALSE(unanswered(60'000'000, "wait-coord", "steady")) << "it looks for another";
}

TEST(Membership, SeesThatItDoesNotGetOnWithJoining) {
  Membership membership;
  auto stuck = [&](int at, const char* state, const char* join_state, std::string broker = "UP") {
    std::string json = Statistics(9, 2, state, join_state);
    for (size_t found; (found = json.find("\"UP\"")) != std::string::npos && broker != "UP";) {
      json.replace(found + 1, 2, broker);
    }
    return membership.Stuck(json, 0, SteadyTime(std::chrono::seconds(at)));
  };
  EXPECT_FALSE(stuck(0, "up", "wait-join"));
  EXPECT_FALSE(stuck(29, "wait-coord", "wait-join"));
  EXPECT_TRUE(stuck(30, "up", "wait-join"));
  EXPECT_FALSE(stuck(31, "up", "wait-sync")) << "a step";
  EXPECT_FALSE(stuck(60, "up", "wait-sync"));
  EXPECT_FALSE(stuck(61, "up", "steady")) << "a member";
  EXPECT_FALSE(stuck(62, "up", "wait-sync"));
  EXPECT_TRUE(stuck(92, "up", "wait-sync"));
  EXPECT_FALSE(stuck(93, "wait-coord", "init", "DOWN")) << "Kafka is away";
  EXPECT_FALSE(stuck(152, "wait-coord", "init", "DOWN"));
  EXPECT_TRUE(stuck(153, "wait-coord", "init", "DOWN")) << "or forgotten";
  EXPECT_FALSE(stuck(154, "wait-coord", "init")) << "Kafka is back";
  EXPECT_FALSE(stuck(183, "up", "init"));
  membership.Reset();
  EXPECT_FALSE(stuck(184, "up", "init")) << "another handle";
  EXPECT_FALSE(stuck(185, "up", "wait-assign-call")) << "ours to answer";
  EXPECT_FALSE(stuck(225, "up", "wait-assign-call"));
  EXPECT_FALSE(stuck(226, "up", "wait-incr-unassign-to-complete"));
  EXPECT_FALSE(stuck(240, "up", "wait-incr-unassign-to-complete"));
  EXPECT_TRUE(stuck(241, "up", "wait-incr-unassign-to-complete")) << "though it is answered";
}

TEST(Membership, SeesThatTheProtocolIsNotThere) {
  auto nothing = [](const std::string& json) {
    return Membership::NothingAsked(json, std::chrono::seconds(2));
  };
  EXPECT_TRUE(nothing(Statistics(9, 3'000'000, "up", "init")));
  EXPECT_FALSE(nothing(Statistics(9, 3'000'000, "up", "init", 1))) << "a slow coordinator";
  EXPECT_FALSE(nothing(Statistics(9, 1'000'000, "up", "init"))) << "one that answered";
  EXPECT_FALSE(nothing(Statistics(9, -1, "wait-coord", "init")));
  EXPECT_FALSE(nothing(Statistics(9, 3'000'000, "up", "steady")));
  EXPECT_FALSE(nothing("{}"));
}

TEST(Membership, AgesWithoutNewConfirmation) {
  Membership membership;
  auto monotonic =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
  SteadyTime now{monotonic};  // a machine that never slept
  EXPECT_EQ(membership.Age(now), Duration::max());
  membership.OnTick(now);
  membership.OnStatistics(Statistics(monotonic.count(), 500'000, "up", "steady"), 0);
  EXPECT_NEAR(static_cast<double>(membership.Age(now).count()), 500'000, 50'000);
  membership.OnStatistics(Statistics(monotonic.count() + 9'000'000, 0, "up", "wait-join"), 3);
  EXPECT_GT(membership.Age(now + std::chrono::seconds(9)), std::chrono::seconds(9));
  // The machine slept for an hour: what was confirmed before it is an hour older.
  SteadyTime woken = now + std::chrono::hours(1);
  membership.OnStatistics(Statistics(monotonic.count() + 1'000'000, 0, "up", "steady"), 0);
  membership.OnTick(woken);
  EXPECT_GT(membership.Age(woken), std::chrono::minutes(59));
  membership.Reset();
  EXPECT_EQ(membership.Age(woken), Duration::max());
}

}  // namespace
}  // namespace dispatch::membership_test
