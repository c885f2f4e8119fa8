#include "broker-adapters/partition_claims.h"

#include <gtest/gtest.h>

#include <optional>

#include "broker-adapters/testing/recording_consumer.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::partition_claims_test {
namespace {

using broker::PartitionClaims;
using broker::TopicPartition;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Moves = std::vector<std::string>;
using Partitions = std::vector<TopicPartition>;

const TopicPartition kFirst{"t", 0};
const TopicPartition kSecond{"t", 1};

struct Asked {
  Partitions partitions;
  uint64_t generation = 0;
  bool operator==(const Asked&) const = default;
};

struct World {
  World() {
    claims.emplace(loop, consumer, PartitionClaims::Options{milliseconds(500), seconds(6)},
                   [this](Partitions partitions, uint64_t generation) {
                     asked.push_back({std::move(partitions), generation});
                   });
  }
  std::vector<Asked> TakeAsked() { return std::exchange(asked, {}); }

  testing::SimulatedLoop loop;
  broker::testing::RecordingConsumer consumer;
  std::vector<Asked> asked;
  std::optional<PartitionClaims> claims;
};

TEST(PartitionClaims, Breathes) {
  World w;
  EXPECT_FALSE(w.claims->assigned_once());
  EXPECT_FALSE(w.claims->claiming());
  w.claims->Assigned({kFirst, kSecond}, 7);
  EXPECT_EQ(w.TakeAsked(), (std::vector<Asked>{{{kFirst, kSecond}, 7}}));
  EXPECT_TRUE(w.claims->assigned_once());
  EXPECT_TRUE(w.claims->claiming());
  w.claims->Start(kFirst, 40, 7);
  EXPECT_TRUE(w.claims->claiming());
  EXPECT_FALSE(w.claims->Wants(kFirst, 7));
  EXPECT_TRUE(w.claims->Wants(kSecond, 7));
  w.claims->Start(kSecond, broker::kEarliest, 7);
  EXPECT_FALSE(w.claims->claiming());
  EXPECT_EQ(w.consumer.TakeMoves(), (Moves{"start t/0@40", "start t/1@-2"}));
  EXPECT_EQ(w.consumer.generations(), (std::vector<uint64_t>{7, 7}));
}

TEST(PartitionClaims, AFailedClaimIsMadeAgainForWhatIsStillOurs) {
  World w;
  w.claims->Assigned({kFirst, kSecond}, 7);
  w.TakeAsked();
  w.claims->Again({kFirst, kSecond}, 7);
  w.loop.RunFor(milliseconds(499));
  EXPECT_TRUE(w.asked.empty());
  w.claims->Dropped({kFirst});
  w.loop.RunFor(milliseconds(1));
  EXPECT_EQ(w.TakeAsked(), (std::vector<Asked>{{{kSecond}, 7}}));
  w.claims->Again({kSecond}, 7);
  w.claims->Dropped({kSecond});
  EXPECT_FALSE(w.claims->claiming());
  w.loop.RunFor(seconds(5));
  EXPECT_TRUE(w.asked.empty());
}

TEST(PartitionClaims, WhatIsDroppedWhileItIsClaimedIsNotStarted) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Dropped({kFirst});
  EXPECT_FALSE(w.claims->Wants(kFirst, 7));
  w.claims->Start(kFirst, 40, 7);
  EXPECT_TRUE(w.consumer.TakeMoves().empty());
}

TEST(PartitionClaims, ALaterAssignmentMakesTheClaimOfAnEarlierOneVoid) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Again({kFirst}, 7);
  w.claims->Dropped({kFirst});
  w.claims->Assigned({kFirst}, 8);
  EXPECT_EQ(w.TakeAsked(), (std::vector<Asked>{{{kFirst}, 7}, {{kFirst}, 8}}));
  w.claims->Start(kFirst, 40, 7);
  EXPECT_TRUE(w.consumer.TakeMoves().empty());
  EXPECT_TRUE(w.claims->claiming());
  w.loop.RunFor(seconds(5));
  EXPECT_TRUE(w.asked.empty()) << "the first claim was made again";
  w.claims->Start(kFirst, 41, 8);
  EXPECT_EQ(w.consumer.TakeMoves(), (Moves{"start t/0@41"}));
}

TEST(PartitionClaims, WhoIsShutOutClaimsAgainAndMovesToWhereTheStateSays) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Start(kFirst, 40, 7);
  w.consumer.TakeMoves();
  w.TakeAsked();
  w.claims->ShutOut(kFirst);
  EXPECT_TRUE(w.claims->claiming());
  EXPECT_TRUE(w.asked.empty()) << "two that think so would shut each other out at once";
  w.loop.RunFor(milliseconds(500));
  EXPECT_EQ(w.TakeAsked(), (std::vector<Asked>{{{kFirst}, 7}}));
  w.claims->Start(kFirst, 44, 7);
  EXPECT_EQ(w.consumer.TakeMoves(), (Moves{"seek t/0@44"})) << "a consumer starts each once";
  EXPECT_TRUE(w.consumer.resumed().contains(kFirst)) << "it may have been paused for its old state";
  EXPECT_FALSE(w.claims->claiming());
}

TEST(PartitionClaims, TwoThatBelieveToOwnItLeaveEachOtherTime) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  for (int ms : {500, 1000, 2000, 4000, 6000, 6000}) {
    milliseconds wait(ms);
    w.TakeAsked();
    w.claims->Start(kFirst, 40, 7);
    w.claims->ShutOut(kFirst);
    w.loop.RunFor(wait - milliseconds(1));
    EXPECT_TRUE(w.asked.empty()) << wait.count();
    w.loop.RunFor(milliseconds(1));
    EXPECT_EQ(w.asked.size(), 1u) << wait.count();
  }
}

TEST(PartitionClaims, AfterANewAssignmentItStartsAnew) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Start(kFirst, 40, 7);
  w.claims->ShutOut(kFirst);
  w.claims->Assigned({kFirst}, 8);
  w.consumer.TakeMoves();
  w.claims->Start(kFirst, 44, 8);
  EXPECT_EQ(w.consumer.TakeMoves(), (Moves{"start t/0@44"}));
  w.TakeAsked();
  w.loop.RunFor(seconds(5));
  EXPECT_TRUE(w.asked.empty());
}

TEST(PartitionClaims, NobodyClaimsAgainWhomTheGroupHasNotHeardOf) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Start(kFirst, 40, 7);
  w.TakeAsked();
  w.consumer.set_membership_age(milliseconds(6'001));
  w.claims->ShutOut(kFirst);
  w.loop.RunFor(seconds(60));
  EXPECT_TRUE(w.asked.empty());
  EXPECT_TRUE(w.claims->claiming());
  w.consumer.set_membership_age(seconds(6));
  w.loop.RunFor(milliseconds(500));
  EXPECT_EQ(w.TakeAsked(), (std::vector<Asked>{{{kFirst}, 7}}));
}

TEST(PartitionClaims, WhatIsNotOursAnyMoreIsLeftToWhoeverClaimedIt) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Start(kFirst, 40, 7);
  w.claims->Dropped({kFirst});
  w.TakeAsked();
  w.claims->ShutOut(kFirst);
  w.loop.RunFor(seconds(5));
  EXPECT_TRUE(w.asked.empty());
  EXPECT_FALSE(w.claims->claiming());
}

TEST(PartitionClaims, EndsWithAClaimUnderWay) {
  World w;
  w.claims->Assigned({kFirst}, 7);
  w.claims->Again({kFirst}, 7);
  w.claims.reset();
  w.loop.RunFor(seconds(5));
  EXPECT_EQ(w.asked.size(), 1u);
}

}  // namespace
}  // namespace dispatch::partition_claims_test
