#include "broker-adapters/memory/memory_broker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "broker-adapters/contract/fixture.h"
#include "common/testing/simulated_loop.h"

// What only the cluster in memory can do: faults, frozen clients, sessions, compaction. What it
// shares with Kafka is in contract/.
namespace dispatch::memory_broker_test {
namespace {

using namespace broker;  // NOLINT
using contract::Member;
using contract::ReaderLog;
using std::chrono::seconds;

struct World {
  explicit World(uint64_t seed = 1) : cluster(loop, seed), broker(cluster.Connect("main")) {}
  void NewTopic(const std::string& name, int32_t partitions) {
    bool made = false;
    broker->admin().CreateTopic({.name = name, .partitions = partitions}, [&](Status s) {
      EXPECT_TRUE(s.ok()) << s.message();
      made = true;
    });
    ASSERT_TRUE(loop.RunUntil([&] { return made; }));
  }
  void Fill(const std::string& topic, int32_t partition, int count) {
    auto producer = broker->NewProducer({});
    int done = 0;
    for (int i = 0; i < count; ++i) {
      (void)producer->Produce({.topic = topic, .partition = partition, .value = "v"},
                              [&](Result<Position>) { ++done; });
    }
    ASSERT_TRUE(loop.RunUntil([&] { return done == count; }));
  }
  dispatch::testing::SimulatedLoop loop;
  MemoryCluster cluster;
  std::unique_ptr<Broker> broker;
};

TEST(MemoryBroker, FaultsLoseRecordsOrOnlyTheirAcknowledgement) {
  World w;
  w.NewTopic("t", 1);
  w.cluster.set_faults({.produce_fail = 0.2, .produce_lost_ack = 0.2});
  auto producer = w.broker->NewProducer({});
  std::vector<Result<Position>> reports;
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) {
    (void)producer->Produce({.topic = "t", .partition = 0, .value = std::to_string(i)},
                            [&, i](Result<Position> p) {
                              order.push_back(i);
                              reports.push_back(std::move(p));
                            });
  }
  ASSERT_TRUE(w.loop.RunUntil([&] { return reports.size() == 1000; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  size_t acked = 0;
  for (auto& r : reports) {
    if (r.ok()) {
      ++acked;
    } else {
      EXPECT_EQ(r.code(), Code::kDeadlineExceeded);
    }
  }
  size_t written = w.cluster.Log({"t", 0}).size();
  EXPECT_NEAR(static_cast<double>(acked), 640, 80);
  EXPECT_NEAR(static_cast<double>(written), 800, 80);
}

TEST(MemoryBroker, ProducesTimeOutWhileDownAndGoOnAfter) {
  World w;
  w.NewTopic("t", 1);
  auto producer = w.broker->NewProducer({.delivery_timeout = std::chrono::seconds(5)});
  std::vector<Code> codes;
  auto produce = [&] {
    (void)producer->Produce({.topic = "t", .partition = 0, .value = "v"},
                            [&](Result<Position> p) { codes.push_back(p.code()); });
  };
  w.cluster.set_down(true);
  produce();
  w.loop.RunFor(seconds(4));
  EXPECT_TRUE(codes.empty());
  produce();
  w.loop.RunFor(seconds(2));
  EXPECT_EQ(codes, (std::vector<Code>{Code::kDeadlineExceeded}));
  w.cluster.set_down(false);
  w.loop.RunFor(seconds(1));
  EXPECT_EQ(codes.back(), Code::kOk);
  EXPECT_EQ(w.cluster.Log({"t", 0}).size(), 1u);
  std::optional<Code> admin;
  w.cluster.set_down(true);
  w.broker->admin().ListTopics([&](auto r) { admin = r.code(); });
  w.loop.RunFor(seconds(10));
  EXPECT_EQ(admin, Code::kUnavailable);
}

TEST(MemoryBroker, OffsetsHaveGapsThatReadersPassOver) {
  World w;
  w.NewTopic("t", 1);
  w.cluster.set_faults({.offset_gap = 0.5});
  w.Fill("t", 0, 1000);
  auto log = w.cluster.Log({"t", 0});
  EXPECT_EQ(log.size(), 1000u);
  EXPECT_GT(log.back().offset, 1500);
  ReaderLog reader;
  auto r = w.broker->NewReader("r", reader);
  r->Add({"t", 0}, 700);
  w.loop.RunFor(seconds(1));
  std::vector<int64_t> expected;
  for (auto& record : log) {
    if (record.offset >= 700) expected.push_back(record.offset);
  }
  ASSERT_EQ(reader.records.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(reader.records[i].offset, expected[i]);
}

TEST(MemoryBroker, TruncationIsOutOfRangeForWhoWasBehind) {
  World w;
  w.NewTopic("t", 2);
  w.Fill("t", 0, 10);
  Member member(*w.broker, "g", kEarliest);
  member.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(1));
  member.Pause({"t", 0});
  w.Fill("t", 0, 10);
  w.cluster.Truncate({"t", 0}, 15);
  member.Resume({"t", 0});
  w.loop.RunFor(seconds(1));
  ASSERT_EQ(member.errors.size(), 1u);
  EXPECT_EQ(member.errors[0].second, Code::kOutOfRange);
  member.records.clear();
  member.consumer->Seek({"t", 0}, kEarliest);
  w.loop.RunFor(seconds(1));
  ASSERT_EQ(member.records.size(), 5u);
  EXPECT_EQ(member.records[0].offset, 15);
}

TEST(MemoryBroker, CompactionKeepsTheLastOfEachKey) {
  World w;
  w.NewTopic("t", 1);
  auto producer = w.broker->NewProducer({});
  for (int i = 0; i < 30; ++i) {
    std::optional<std::string> value = i == 27 ? std::nullopt : std::optional(std::to_string(i));
    (void)producer->Produce({.topic = "t", .key = "k" + std::to_string(i % 3), .value = value},
                            [](Result<Position>) {});
  }
  w.loop.RunFor(seconds(1));
  w.cluster.Compact("t");
  auto log = w.cluster.Log({"t", 0});
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].offset, 27);
  EXPECT_FALSE(log[0].value.has_value());
  w.loop.RunFor(std::chrono::hours(30));
  w.cluster.Compact("t");
  EXPECT_EQ(w.cluster.Log({"t", 0}).size(), 2u) << "the tombstone has gone";
}

TEST(MemoryBroker, AFrozenMemberIsLostAndComesBack) {
  World w;
  w.NewTopic("t", 4);
  auto other_side = w.cluster.Connect("other");
  Member frozen(*w.broker, "g", kEarliest);
  Member other(*other_side, "g", kEarliest);
  frozen.consumer->Subscribe({"t"});
  other.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(2));
  ASSERT_EQ(frozen.owned.size(), 2u);
  EXPECT_LT(frozen.consumer->membership_age(), seconds(6));
  w.cluster.set_partitioned("main", true);
  w.loop.RunFor(seconds(3));
  EXPECT_EQ(other.owned.size(), 2u) << "its session goes on";
  w.cluster.set_partitioned("main", false);
  w.loop.RunFor(seconds(3));
  EXPECT_EQ(frozen.losses, 0);
  w.cluster.set_partitioned("main", true);
  w.loop.RunFor(seconds(10));
  EXPECT_EQ(other.owned.size(), 4u);
  EXPECT_EQ(frozen.owned.size(), 2u) << "it does not know";
  EXPECT_GT(frozen.consumer->membership_age(), seconds(6));
  // What it commits now counts for nothing.
  frozen.consumer->Commit({{*frozen.owned.begin(), 99}});
  TopicPartition was = *frozen.owned.begin();
  w.cluster.set_partitioned("main", false);
  w.loop.RunFor(seconds(3));
  EXPECT_EQ(frozen.losses, 1);
  EXPECT_EQ(w.cluster.Committed("g", was), -1);
  EXPECT_EQ(frozen.owned.size() + other.owned.size(), 4u);
  EXPECT_EQ(frozen.owned.size(), 2u);
}

TEST(MemoryBroker, NobodyIsThrownOutWhileTheCoordinatorIsDown) {
  World w;
  w.NewTopic("t", 2);
  Member member(*w.broker, "g", kEarliest);
  member.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(2));
  w.cluster.set_down(true);
  w.loop.RunFor(seconds(60));
  EXPECT_GT(member.consumer->membership_age(), seconds(50));
  w.cluster.set_down(false);
  w.loop.RunFor(seconds(30));
  EXPECT_EQ(member.losses, 0);
  EXPECT_EQ(member.owned.size(), 2u);
  EXPECT_LT(member.consumer->membership_age(), seconds(6));
}

TEST(MemoryBroker, ARebalanceTakesEverybodyThroughRevokeAndAssign) {
  World w;
  w.NewTopic("t", 3);
  Member alone(*w.broker, "g", kEarliest);
  alone.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(2));
  uint64_t before = alone.generation;
  w.cluster.Rebalance("g");
  w.loop.RunFor(seconds(2));
  EXPECT_EQ(alone.revocations, 1);
  EXPECT_EQ(alone.owned.size(), 3u);
  EXPECT_GT(alone.generation, before);
  Member second(*w.broker, "g", kEarliest);
  second.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(2));
  auto mine = alone.owned;
  w.cluster.Rebalance("g");
  w.loop.RunFor(seconds(2));
  EXPECT_NE(alone.owned, mine) << "they change places";
  EXPECT_EQ(alone.owned.size() + second.owned.size(), 3u);
}

TEST(MemoryBroker, AMemberThatDoesNotReleaseIsNotWaitedForForever) {
  World w;
  w.NewTopic("t", 2);
  Member stuck(*w.broker, "g", kEarliest);
  stuck.auto_release = false;
  stuck.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(2));
  Member second(*w.broker, "g", kEarliest);
  second.consumer->Subscribe({"t"});
  w.loop.RunFor(seconds(5));
  EXPECT_TRUE(second.owned.empty());
  w.loop.RunFor(seconds(10));
  EXPECT_EQ(second.owned.size(), 1u);
}

// One partition has one owner at any time, whatever happens to the members; and each record that
// the group read up to the end was read by somebody.
TEST(MemoryBroker, APartitionHasOneOwner) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed);
    w.cluster.set_faults({.min_latency = Duration(50), .max_latency = Duration(20'000)});
    w.NewTopic("t", 5);
    std::mt19937_64 random(seed);
    struct Client {
      std::string name;
      std::unique_ptr<Broker> broker;
      std::unique_ptr<Member> member;
    };
    std::vector<Client> clients;
    auto start = [&] {
      Client c{.name = "c" + std::to_string(random())};
      c.broker = w.cluster.Connect(c.name);
      c.member = std::make_unique<Member>(*c.broker, "g", kEarliest);
      c.member->consumer->Subscribe({"t"});
      clients.push_back(std::move(c));
    };
    std::set<std::string> cut;
    for (int step = 0; step < 40; ++step) {
      switch (random() % 6) {
        case 0:
          if (clients.size() < 4) start();
          break;
        case 1:
          if (!clients.empty())
            clients.erase(clients.begin() + static_cast<int>(random() % clients.size()));
          break;
        case 2:
          if (!clients.empty()) {
            auto& name = clients[random() % clients.size()].name;
            bool now = cut.contains(name) ? (cut.erase(name), false) : (cut.insert(name), true);
            w.cluster.set_partitioned(name, now);
          }
          break;
        case 3:
          w.cluster.Rebalance("g");
          break;
        case 4:
          if (!clients.empty()) clients[random() % clients.size()].member->consumer->Close([] {});
          break;
        default:
          break;
      }
      w.loop.RunFor(Duration(static_cast<int64_t>(random() % 4'000'000)));
      std::set<TopicPartition> owned;
      for (auto& c : clients) {
        if (cut.contains(c.name)) continue;  // may be out of date
        for (auto& tp : c.member->owned) ASSERT_TRUE(owned.insert(tp).second);
      }
    }
    for (auto& name : cut) w.cluster.set_partitioned(name, false);
    clients.clear();
    start();
    ASSERT_TRUE(w.loop.RunUntil([&] { return clients[0].member->owned.size() == 5; }, seconds(60)));
  }
}

TEST(MemoryBroker, IsTheSameForTheSameSeed) {
  auto run = [](uint64_t seed) {
    World w(seed);
    w.cluster.set_faults({.produce_fail = 0.1,
                          .min_latency = Duration(10),
                          .max_latency = Duration(9'000),
                          .offset_gap = 0.1});
    w.NewTopic("t", 3);
    std::string trace;
    Member member(*w.broker, "g", kEarliest);
    member.consumer->Subscribe({"t"});
    auto producer = w.broker->NewProducer({});
    for (int i = 0; i < 200; ++i) {
      (void)producer->Produce({.topic = "t", .value = "v"}, [&](Result<Position> p) {
        trace += p.ok() ? fmt::format("{}/{} ", p->partition, p->offset) : "- ";
      });
      w.loop.RunFor(Duration(300));
    }
    w.loop.RunFor(seconds(1));
    for (auto& r : member.records) trace += fmt::format("{}:{} ", r.partition, r.offset);
    return trace;
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

}  // namespace
}  // namespace dispatch::memory_broker_test
