#include <algorithm>

#include "broker-adapters/contract/fixture.h"
#include "common/metrics.h"

namespace dispatch::group_contract_test {
namespace {

using namespace broker;            // NOLINT
using namespace broker::contract;  // NOLINT

using Owned = std::set<TopicPartition>;

constexpr Duration kSession = std::chrono::seconds(6);

class GroupTest : public BrokerContract {};
INSTANTIATE_TEST_SUITE_P(Brokers, GroupTest, ::testing::Values("memory", "kafka"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(GroupTest, OneMemberReadsEverything) {
  std::string topic = NewTopic(3);
  for (int p = 0; p < 3; ++p) Fill(topic, p, 50);
  Member member(*broker, Unique("group"), kEarliest);
  EXPECT_EQ(member.consumer->membership_age(), Duration::max());
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 150; }));
  for (int p = 0; p < 3; ++p) ExpectExactly(member.records, p, 50);
  EXPECT_EQ(member.owned.size(), 3u);
  ASSERT_TRUE(driver->RunUntil([&] { return member.consumer->membership_age() < kSession; }));
  // It stays that young.
  for (int i = 0; i < 30; ++i) {
    driver->RunFor(std::chrono::milliseconds(200));
    ASSERT_LT(member.consumer->membership_age(), kSession);
  }
}

TEST_P(GroupTest, FetchesOnlyWhenAllWasStarted) {
  std::string topic = NewTopic(2);
  Fill(topic, 0, 5);
  Fill(topic, 1, 5);
  Member member(*broker, Unique("group"));
  member.auto_start = false;
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 2; }));
  member.consumer->Start({topic, 0}, 0, member.generation - 1);  // over: ignored
  member.consumer->Start({topic, 0}, 2, member.generation);
  driver->RunFor(std::chrono::milliseconds(300));
  EXPECT_TRUE(member.records.empty());
  member.consumer->Start({topic, 1}, kLatest, member.generation + 1);  // not yet: ignored
  member.consumer->Start({topic, 1}, 4, member.generation);
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 4; }));
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_EQ(member.records.size(), 4u);
}

TEST_P(GroupTest, TwoMembersShareAndHandOverOnRelease) {
  std::string topic = NewTopic(4);
  std::string group = Unique("group");
  Member first(*broker, group, kEarliest);
  first.auto_release = false;
  first.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return first.owned.size() == 4; }));
  auto other = driver->Connect("other");
  Member second(*other, group, kEarliest);
  second.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return first.release != nullptr; }));
  EXPECT_EQ(first.owned.size(), 2u);
  // Until it releases, nobody else has them. (What it keeps may stand still so long.)
  driver->RunFor(std::chrono::milliseconds(500));
  EXPECT_TRUE(second.owned.empty());
  first.release();
  ASSERT_TRUE(driver->RunUntil([&] { return second.owned.size() == 2; }));
  for (int p = 0; p < 4; ++p) Fill(topic, p, 10);
  ASSERT_TRUE(
      driver->RunUntil([&] { return first.records.size() == 20 && second.records.size() == 20; }));
  EXPECT_EQ(second.owned.size(), 2u);
  for (auto& tp : second.owned) EXPECT_FALSE(first.owned.contains(tp));
  EXPECT_EQ(first.losses + second.losses, 0);

  // Leaving in good order is quick: no session needs to end.
  bool closed = false;
  second.consumer->Close([&] { closed = true; });
  ASSERT_TRUE(driver->RunUntil([&] { return closed; }));
  EXPECT_TRUE(second.owned.empty());
  ASSERT_TRUE(driver->RunUntil([&] { return first.owned.size() == 4; }, Duration(5'000'000)));
}

TEST_P(GroupTest, AMemberWithoutPartitionsIsOneTooAndTheNextToHaveThem) {
  std::string topic = NewTopic(1);
  std::string group = Unique("group");
  Member first(*broker, group, kEarliest);
  first.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return first.owned.size() == 1; }));
  auto other = driver->Connect("other");
  Member second(*other, group, kEarliest);
  second.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] {
    return second.consumer->membership_age() < kSession &&
           first.consumer->membership_age() < kSession;
  }));
  EXPECT_EQ(first.owned.size() + second.owned.size(), 1u);
  Member& owner = first.owned.empty() ? second : first;
  Member& heir = first.owned.empty() ? first : second;
  bool closed = false;
  owner.consumer->Close([&] { closed = true; });
  ASSERT_TRUE(driver->RunUntil([&] { return closed && heir.owned.size() == 1; }));
}

TEST_P(GroupTest, SurvivorsTakeOverFromACrashedMember) {
  std::string topic = NewTopic(4);
  std::string group = Unique("group");
  Member survivor(*broker, group, kEarliest);
  survivor.consumer->Subscribe({topic});
  auto other = driver->Connect("other");
  auto victim = std::make_unique<Member>(*other, group, kEarliest);
  victim->consumer->Subscribe({topic});
  ASSERT_TRUE(
      driver->RunUntil([&] { return survivor.owned.size() == 2 && victim->owned.size() == 2; }));
  victim.reset();
  other.reset();
  SteadyTime crashed = driver->loop().Steady();
  ASSERT_TRUE(driver->RunUntil([&] { return survivor.owned.size() == 4; }));
  EXPECT_GT(driver->loop().Steady() - crashed, Duration(2'000'000)) << "it did not just leave";
}

TEST_P(GroupTest, ARestartedInstanceTakesItsPlaceAtOnce) {
  std::string topic = NewTopic(4);
  std::string group = Unique("group");
  auto other = driver->Connect("other");
  auto survivor = std::make_unique<Member>(*other, group, kEarliest, "a");
  survivor->consumer->Subscribe({topic});
  auto victim = std::make_unique<Member>(*broker, group, kEarliest, "b");
  victim->consumer->Subscribe({topic});
  ASSERT_TRUE(
      driver->RunUntil([&] { return survivor->owned.size() == 2 && victim->owned.size() == 2; }));
  auto owned = victim->owned;
  int revocations = survivor->revocations;
  victim.reset();  // without leaving: a crash
  SteadyTime crashed = driver->loop().Steady();
  Member again(*broker, group, kEarliest, "b");
  again.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return again.owned.size() == 2; }));
  EXPECT_LT(driver->loop().Steady() - crashed, Duration(4'000'000)) << "it waited for its session";
  EXPECT_EQ(again.owned, owned);
  EXPECT_EQ(survivor->revocations, revocations);
}

TEST_P(GroupTest, TwoProcessesOfOneNameBothServeInTheEnd) {
  std::string topic = NewTopic(4);
  std::string group = Unique("group");
  Member first(*broker, group, kEarliest, "twin");
  first.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return first.owned.size() == 4; }));
  auto other = driver->Connect("other");
  Member second(*other, group, kEarliest, "twin");
  second.consumer->Subscribe({topic});
  ASSERT_TRUE(
      driver->RunUntil([&] { return first.owned.size() == 2 && second.owned.size() == 2; }));
  for (auto& tp : second.owned) EXPECT_FALSE(first.owned.contains(tp));
  first.records.clear();
  second.records.clear();
  for (int p = 0; p < 4; ++p) Fill(topic, p, 10);
  ASSERT_TRUE(
      driver->RunUntil([&] { return first.records.size() == 20 && second.records.size() == 20; }));
}

TEST_P(GroupTest, ARestartedInstanceGetsTheTopicsOfNow) {
  std::string kept = NewTopic(1);
  std::string gone = NewTopic(2);
  std::string group = Unique("group");
  auto other = driver->Connect("other");
  auto victim = std::make_unique<Member>(*other, group, kEarliest, "a");
  victim->consumer->Subscribe({kept, gone});
  ASSERT_TRUE(driver->RunUntil([&] { return victim->owned.size() == 3; }));
  victim.reset();  // without leaving: a crash
  ASSERT_TRUE(
      AwaitStatus([&](auto done) { broker->admin().DeleteTopic(gone, std::move(done)); }).ok());
  Member again(*broker, group, kEarliest, "a");
  again.consumer->Subscribe({kept});
  ASSERT_TRUE(driver->RunUntil([&] { return again.owned == Owned{{kept, 0}}; }));
  std::string fresh = NewTopic(1);
  again.consumer->Subscribe({kept, fresh});
  ASSERT_TRUE(driver->RunUntil([&] { return again.owned == Owned{{kept, 0}, {fresh, 0}}; }));
}

TEST_P(GroupTest, ARestartedInstanceGetsTopicsThatCameMeanwhile) {
  std::string known = NewTopic(2);
  std::string group = Unique("group");
  auto other = driver->Connect("other");
  auto victim = std::make_unique<Member>(*other, group, kEarliest, "a");
  victim->consumer->Subscribe({known});
  ASSERT_TRUE(driver->RunUntil([&] { return victim->owned.size() == 2; }));
  victim.reset();  // without leaving: a crash
  std::string fresh = NewTopic(1);
  std::string newer = NewTopic(1);
  Member again(*broker, group, kEarliest, "a");
  again.consumer->Subscribe({known, fresh, newer});
  ASSERT_TRUE(driver->RunUntil([&] { return again.owned.size() == 4; }));
}

TEST_P(GroupTest, ARestartedInstanceGetsTopicsInPlaceOfThoseThatWent) {
  auto other = driver->Connect("other");
  for (int turn = 0; turn < 3; ++turn) {  // each is the last one once: a member joins without it
    std::string known = NewTopic(2);
    std::string gone = NewTopic(2);
    std::string kept = NewTopic(1);
    std::string group = Unique("group");
    auto victim = std::make_unique<Member>(*other, group, kEarliest, "a");
    victim->consumer->Subscribe({known, gone, kept});
    ASSERT_TRUE(driver->RunUntil([&] { return victim->owned.size() == 5; }));
    victim.reset();  // without leaving: a crash
    ASSERT_TRUE(
        AwaitStatus([&](auto done) { broker->admin().DeleteTopic(gone, std::move(done)); }).ok());
    std::string fresh = NewTopic(1);
    std::vector<std::string> now{known, fresh, kept};
    std::rotate(now.begin(), now.begin() + turn, now.end());
    Member again(*broker, group, kEarliest, "a");
    again.consumer->Subscribe(now);
    Owned all{{known, 0}, {known, 1}, {fresh, 0}, {kept, 0}};
    ASSERT_TRUE(driver->RunUntil([&] { return again.owned == all; })) << "in turn " << turn;
  }
}

TEST_P(GroupTest, ARestartGoesOnAtTheCommit) {
  std::string topic = NewTopic(1);
  std::string group = Unique("group");
  Fill(topic, 0, 10);
  {
    Member member(*broker, group);
    member.consumer->Subscribe({topic});
    ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 10; }));
    EXPECT_EQ(member.records[0].offset, 0) << "no commit yet: the earliest";
    member.consumer->Commit({{{topic, 0}, 6}});
    driver->RunFor(std::chrono::milliseconds(300));
    bool closed = false;
    member.consumer->Close([&] { closed = true; });
    ASSERT_TRUE(driver->RunUntil([&] { return closed; }));
    EXPECT_EQ(member.revocations, 1);
  }
  Member again(*broker, group);
  again.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return again.records.size() == 4; }));
  EXPECT_EQ(again.records[0].offset, 6);
}

// Else nobody would learn that the group does not know a member any more.
TEST_P(GroupTest, HearsThatACommitIsRefused) {
  if (GetParam() == std::string("memory")) GTEST_SKIP() << "refuses none";
  auto refused = metrics::GetCounter("dispatch_offset_commits_refused_total", "");
  std::string topic = NewTopic(1);
  Member member(*broker, Unique("group"), kEarliest);
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 1; }));
  double before = refused.Value();
  member.consumer->Commit({{{Unique("never-made"), 0}, 1}});
  EXPECT_TRUE(driver->RunUntil([&] { return refused.Value() > before; }));
}

TEST_P(GroupTest, SeeksBackAndForward) {
  std::string topic = NewTopic(2);
  Fill(topic, 0, 100);
  Fill(topic, 1, 100);
  Member member(*broker, Unique("group"), kEarliest);
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 200; }));
  member.records.clear();
  member.consumer->Seek({topic, 0}, 90);
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 10; }));
  EXPECT_EQ(member.records[0].offset, 90);
  member.records.clear();
  member.consumer->Seek({topic, 0}, 10);
  member.consumer->Seek({topic, 0}, 95);  // the last one counts
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 5; }));
  EXPECT_EQ(member.records[0].offset, 95);
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_EQ(member.records.size(), 5u);
  // Seeking a paused partition does not resume it.
  member.records.clear();
  member.Pause({topic, 1});
  member.consumer->Seek({topic, 1}, 98);
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_TRUE(member.records.empty());
  member.Resume({topic, 1});
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 2; }));
  EXPECT_EQ(member.records[0].offset, 98);
  EXPECT_EQ(member.records[0].partition, 1);
}

TEST_P(GroupTest, OutOfRangeStandsStillUntilSeek) {
  std::string topic = NewTopic(2);
  Fill(topic, 0, 5);
  Fill(topic, 1, 5);
  Member member(*broker, Unique("group"));
  member.auto_start = false;
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 2; }));
  member.consumer->Start({topic, 0}, 1000, member.generation);
  member.consumer->Start({topic, 1}, 0, member.generation);
  ASSERT_TRUE(
      driver->RunUntil([&] { return !member.errors.empty() && member.records.size() == 5; }));
  EXPECT_EQ(member.errors[0].first, (TopicPartition{topic, 0}));
  EXPECT_EQ(member.errors[0].second, Code::kOutOfRange);
  driver->RunFor(std::chrono::milliseconds(300));
  EXPECT_EQ(member.errors.size(), 1u);
  EXPECT_EQ(member.records.size(), 5u) << "the other partition went on";
  member.consumer->Seek({topic, 0}, 2);
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 8; }));
  EXPECT_EQ(member.records[5].offset, 2);
}

TEST_P(GroupTest, PausesExactlyWithRecordsQueued) {
  constexpr int kCount = 5000;
  std::string topic = NewTopic(2);
  Fill(topic, 0, kCount);
  Fill(topic, 1, kCount);
  Member member(*broker, Unique("group"), kEarliest);
  std::map<int32_t, int> seen;
  size_t counted = 0;
  int rounds = 0;
  TopicPartition tp{topic, 0};
  member.on_records = [&] {
    for (; counted < member.records.size(); ++counted) ++seen[member.records[counted].partition];
    if (!member.paused.empty() || rounds >= 8 || seen[0] <= rounds * 500) return;
    ++rounds;
    member.Pause(tp);
    member.consumer->Pause(tp);           // twice: must change nothing
    member.consumer->Resume({topic, 1});  // not paused: neither
    driver->loop().After(std::chrono::milliseconds(rounds % 2 == 0 ? 0 : 20),
                         [&] { member.Resume(tp); });
  };
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() >= 2 * kCount; }));
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_GE(rounds, 5);
  ExpectExactly(member.records, 0, kCount);
  ExpectExactly(member.records, 1, kCount);
}

TEST_P(GroupTest, ARevokedAndReturnedPartitionIsNotPausedAndGoesOnWhereStarted) {
  std::string topic = NewTopic(2);
  std::string group = Unique("group");
  Fill(topic, 0, 20);
  Fill(topic, 1, 20);
  Member first(*broker, group, kEarliest);
  first.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return first.records.size() == 40; }));
  first.Pause({topic, 0});
  first.Pause({topic, 1});
  auto other = driver->Connect("other");
  auto second = std::make_unique<Member>(*other, group, kEarliest);
  second->consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return second->records.size() == 20; }));
  TopicPartition moved = *second->owned.begin();
  first.paused.erase(moved);
  first.records.clear();
  uint64_t before = first.generation;
  bool closed = false;
  second->consumer->Close([&] { closed = true; });
  ASSERT_TRUE(driver->RunUntil([&] { return closed && first.owned.size() == 2; }));
  EXPECT_GT(first.generation, before);
  ASSERT_TRUE(driver->RunUntil([&] { return first.records.size() == 20; }));
  EXPECT_EQ(first.records[0].partition, moved.partition);
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_EQ(first.records.size(), 20u) << "the one that stayed is still paused";
}

TEST_P(GroupTest, FollowsTheListOfTopicsAndTheirGrowth) {
  std::string one = NewTopic(1);
  std::string two = NewTopic(1);
  Member member(*broker, Unique("group"), kEarliest);
  member.consumer->Subscribe({one});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 1; }));
  member.consumer->Subscribe({one, two});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 2; }));
  Fill(two, 0, 3);
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 3; }));
  ASSERT_TRUE(
      AwaitStatus([&](auto done) { broker->admin().GrowTopic(one, 3, std::move(done)); }).ok());
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 4; }));
  member.consumer->Subscribe({two});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 1; }));
  EXPECT_TRUE(member.owned.contains({two, 0}));
  EXPECT_EQ(member.losses, 0);
}

// The classic protocol takes the partitions of a topic that is gone, also before they were started.
TEST_P(GroupTest, AnAssignmentLostBeforeItsStartIsGotOver) {
  if (GetParam() == std::string("memory")) GTEST_SKIP() << "takes nothing from a member like that";
  std::string kept = NewTopic(1);
  std::string gone = NewTopic(2);
  std::string other = NewTopic(1);
  Fill(other, 0, 5);
  Member member(*broker, Unique("group"), kEarliest, "one");
  member.consumer->Subscribe({kept});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 1; }));
  member.auto_start = false;
  member.consumer->Subscribe({kept, gone});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 3; }));
  member.consumer->Start({gone, 0}, kEarliest, member.generation);
  auto deleted = AwaitStatus([&](auto d) { broker->admin().DeleteTopic(gone, std::move(d)); });
  ASSERT_TRUE(deleted.ok()) << deleted.message();
  member.auto_start = true;
  member.consumer->Subscribe({kept, other});
  ASSERT_TRUE(driver->RunUntil([&] { return member.records.size() == 5; }));
  EXPECT_EQ(member.owned.size(), 2u);
}

TEST_P(GroupTest, AdminDescribesMembersAndWhatTheyOwn) {
  std::string topic = NewTopic(3);
  std::string group = Unique("group");
  auto describe = [&] {
    std::optional<Result<GroupInfo>> told;
    broker->admin().DescribeGroup(group, [&](Result<GroupInfo> info) { told = std::move(info); });
    EXPECT_TRUE(driver->RunUntil([&] { return told.has_value(); }));
    EXPECT_TRUE(told->ok()) << told->message();
    return told->ok() ? **told : GroupInfo();
  };
  auto becomes = [&](size_t members, size_t partitions) {
    for (int i = 0; i < 200; ++i) {
      auto info = describe();
      bool same = info.members.size() == members;
      if (same && (members == 0 || info.members[0].partitions.size() == partitions)) return true;
      driver->RunFor(std::chrono::milliseconds(20));
    }
    return false;
  };
  EXPECT_TRUE(describe().members.empty());
  Member member(*broker, group, kEarliest);
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 3; }));
  EXPECT_TRUE(becomes(1, 3));
  bool closed = false;
  member.consumer->Close([&] { closed = true; });
  ASSERT_TRUE(driver->RunUntil([&] { return closed; }));
  EXPECT_TRUE(becomes(0, 0));
}

TEST_P(GroupTest, AdminListsGroupsAndWhatTheyCommitted) {
  std::string topic = NewTopic(2);
  Fill(topic, 1, 5);
  std::string group = Unique("group");
  auto ask = [&]<typename T>(std::type_identity<T>, auto send) {
    std::optional<Result<T>> told;
    send([&](Result<T> answer) { told = std::move(answer); });
    EXPECT_TRUE(driver->RunUntil([&] { return told.has_value(); }));
    EXPECT_TRUE(told->ok()) << told->message();
    return told->ok() ? **told : T();
  };
  auto offsets = [&] {
    return ask(std::type_identity<std::vector<GroupOffset>>(),
               [&](auto done) { broker->admin().ListGroupOffsets(group, std::move(done)); });
  };
  auto state = [&]() -> std::string {
    auto all = ask(std::type_identity<std::vector<GroupSummary>>(),
                   [&](auto done) { broker->admin().ListGroups(std::move(done)); });
    auto it = std::find_if(all.begin(), all.end(), [&](auto& g) { return g.name == group; });
    return it == all.end() ? "" : it->state;
  };
  EXPECT_TRUE(offsets().empty());
  EXPECT_EQ(state(), "");
  Member member(*broker, group, kEarliest);
  member.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return member.owned.size() == 2; }));
  EXPECT_EQ(state(), "stable");
  member.consumer->Commit({{{topic, 1}, 3}});
  std::vector<GroupOffset> told;
  for (int i = 0; i < 200 && told.empty(); ++i) {
    driver->RunFor(std::chrono::milliseconds(20));
    told = offsets();
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].partition, (TopicPartition{topic, 1}));
  EXPECT_EQ(told[0].committed, 3);
}

TEST_P(GroupTest, MayEndAnywhere) {
  std::string topic = NewTopic(2);
  Fill(topic, 0, 100);
  auto member = std::make_unique<Member>(*broker, Unique("group"), kEarliest);
  bool ended = false;
  member->on_records = [&] {
    // The listener goes with the consumer, inside its own callback.
    driver->loop().Post([&] { ended = true; });
    member->consumer.reset();
  };
  member->consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return ended; }));
  // One that waits to be started, one that waits to be released, one that is closing.
  Member waiting(*broker, Unique("group"));
  waiting.auto_start = false;
  waiting.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return waiting.owned.size() == 2; }));
  waiting.consumer.reset();
  Member closing(*broker, Unique("group"));
  closing.auto_start = false;
  closing.auto_release = false;
  closing.consumer->Subscribe({topic});
  ASSERT_TRUE(driver->RunUntil([&] { return closing.owned.size() == 2; }));
  bool closed = false;
  closing.consumer->Close([&] { closed = true; });
  ASSERT_TRUE(driver->RunUntil([&] { return closing.release != nullptr; }));
  EXPECT_FALSE(closed);
  closing.release();
  ASSERT_TRUE(driver->RunUntil([&] { return closed; }));
  closing.release();  // twice, and after the end: nothing
  closing.consumer.reset();
  closing.release();
}

}  // namespace
}  // namespace dispatch::group_contract_test
