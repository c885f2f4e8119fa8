#include "broker-adapters/outbox_relay.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/state_table.h"
#include "broker-adapters/testing/fake_outbox_store.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::outbox_relay_test {
namespace {

using broker::MemoryCluster;
using broker::OutboxRelay;
using broker::RecordSigner;
using broker::StateTable;
using std::chrono::milliseconds;
using std::chrono::seconds;

const broker::TopicPartition kTopic{"dispatch.state.identity", 0};

// One service instance: its connection and its relay.
struct Instance {
  Instance(MemoryCluster& cluster, Loop& loop, const RecordSigner& signer,
           broker::OutboxStore& store, const std::string& name)
      : broker(cluster.Connect(name)),
        relay(*broker, loop, signer, store, {.service = "identity", .owner = name}) {
    relay.Start();
  }
  std::unique_ptr<broker::Broker> broker;
  OutboxRelay relay;
};

struct World {
  explicit World(uint64_t seed = 1)
      : cluster(loop, seed), store(loop), reader_side(cluster.Connect("reader")) {
    cluster.set_faults({.min_latency = Duration(100), .max_latency = Duration(3'000)});
    bool made = false;
    EnsureTopics(*reader_side, loop, broker::InternalTopics(1, 4), [&] { made = true; });
    loop.RunUntil([&] { return made; });
    table = std::make_unique<StateTable>(*reader_side, loop, signer, "identity");
    table->Start();
  }
  std::unique_ptr<Instance> NewInstance(const std::string& name) {
    return std::make_unique<Instance>(cluster, loop, signer, store, name);
  }
  // The table holds what the store holds.
  bool Agrees(const StateTable& t) const {
    size_t live = 0;
    for (auto& [key, record] : store.current()) {
      auto entity = t.Find(record.kind, record.org + "/" + record.name);
      if (record.deleted ? entity != nullptr : (!entity || entity->version != record.version)) {
        return false;
      }
      live += record.deleted ? 0 : 1;
    }
    return t.size() == live;
  }

  testing::SimulatedLoop loop;
  MemoryCluster cluster;
  RecordSigner signer{std::string(32, 'k')};
  broker::testing::FakeOutboxStore store;
  std::unique_ptr<broker::Broker> reader_side;
  std::unique_ptr<StateTable> table;
};

TEST(OutboxRelay, PublishesInOrderAndEmptiesTheOutbox) {
  World w;
  auto a = w.NewInstance("a");
  ASSERT_TRUE(w.loop.RunUntil([&] { return a->relay.leading(); }));
  for (int i = 0; i < 1200; ++i) w.store.Put("key", "acme", "k" + std::to_string(i % 50), "{}");
  w.store.Delete("key", "acme", "k7");
  a->relay.Nudge();
  ASSERT_TRUE(w.loop.RunUntil([&] { return w.store.rows().empty(); }, seconds(20)));
  ASSERT_TRUE(w.loop.RunUntil([&] { return w.Agrees(*w.table); }, seconds(2)));
  int64_t last = 0;
  for (auto& record : w.cluster.Log(kTopic)) {
    auto state = schema::Decode<schema::StateRecord>(*record.value);
    ASSERT_TRUE(state.ok());
    if (state->kind == "heartbeat") continue;
    EXPECT_GT(state->version, last);
    last = state->version;
  }
}

TEST(OutboxRelay, ANudgeIsFasterThanThePoll) {
  World w;
  auto a = w.NewInstance("a");
  w.loop.RunFor(seconds(2));
  w.store.Put("key", "acme", "k", "{}");
  a->relay.Nudge();
  w.loop.RunFor(Duration(20'000));
  EXPECT_TRUE(w.Agrees(*w.table));
}

TEST(OutboxRelay, HeartbeatsKeepTheTableYoung) {
  World w;
  auto a = w.NewInstance("a");
  w.loop.RunFor(seconds(5));
  for (int i = 0; i < 50; ++i) {
    w.loop.RunFor(Duration(100'000));
    ASSERT_LT(w.table->age(), Duration(1'200'000));
  }
  a.reset();
  w.loop.RunFor(seconds(5));
  EXPECT_GT(w.table->age(), seconds(4));
}

TEST(OutboxRelay, OneLeadsAndTheOtherTakesOver) {
  World w;
  auto a = w.NewInstance("a");
  auto b = w.NewInstance("b");
  w.loop.RunFor(seconds(5));
  EXPECT_NE(a->relay.leading(), b->relay.leading());
  auto& first = a->relay.leading() ? a : b;
  auto& second = a->relay.leading() ? b : a;
  int64_t epoch = w.store.epoch();
  first.reset();  // a crash: the lease has to end
  w.store.Put("key", "acme", "k", "{}");
  w.loop.RunFor(seconds(1));
  EXPECT_FALSE(second->relay.leading());
  // Whose word the lag is, is there again before anybody has waited five seconds.
  ASSERT_TRUE(w.loop.RunUntil([&] { return second->relay.leading(); }, milliseconds(2'600)));
  ASSERT_TRUE(w.loop.RunUntil([&] { return w.Agrees(*w.table); }, seconds(10)));
  EXPECT_GT(w.store.epoch(), epoch);
  // In good order it is quick.
  first = w.NewInstance("c");
  w.loop.RunFor(seconds(1));
  bool stopped = false;
  second->relay.Stop([&] { stopped = true; });
  ASSERT_TRUE(w.loop.RunUntil([&] { return stopped && first->relay.leading(); }, seconds(3)));
}

TEST(OutboxRelay, SurvivesTheDatabaseAndTheBrokersGoingAway) {
  World w;
  auto a = w.NewInstance("a");
  w.loop.RunFor(seconds(2));
  w.store.down = true;
  w.loop.RunFor(seconds(20));
  EXPECT_FALSE(a->relay.leading());
  w.store.down = false;
  w.store.Put("key", "acme", "k", "{}");
  ASSERT_TRUE(
      w.loop.RunUntil([&] { return w.Agrees(*w.table) && w.store.rows().empty(); }, seconds(20)));
  w.cluster.set_down(true);
  w.store.Put("key", "acme", "k", "{}");
  w.loop.RunFor(seconds(30));
  EXPECT_EQ(w.store.rows().size(), 1u);
  w.cluster.set_down(false);
  ASSERT_TRUE(w.loop.RunUntil([&] { return w.Agrees(*w.table); }, seconds(20)));
}

TEST(OutboxRelay, PublishesAgainWhatAnOlderEpochOverwrote) {
  World w;
  auto a = w.NewInstance("a");
  w.store.Put("key", "acme", "k", R"({"v":1})");
  ASSERT_TRUE(w.loop.RunUntil([&] { return w.Agrees(*w.table); }, seconds(10)));
  auto zombie = w.cluster.Connect("zombie");
  auto producer = zombie->NewProducer({});
  auto overwrite = [&](const std::string& name, int64_t version) {
    schema::StateRecord old;
    old.kind = "key";
    old.org = "acme";
    old.name = name;
    old.version = version;
    old.epoch = 0;
    old.document = R"({"v":0})";
    broker::ProduceRecord record{
        .topic = kTopic.topic, .partition = 0, .key = old.Key(), .value = schema::Encode(old)};
    w.signer.Sign(record);
    ASSERT_TRUE(producer->Produce(std::move(record), [](Result<broker::Position>) {}).ok());
  };
  overwrite("k", 100);     // newer by version, but fenced
  overwrite("ghost", 50);  // of no entity any more
  w.loop.RunFor(seconds(3));
  // Compaction keeps the last record of each key: it must be the right one.
  w.cluster.Compact(kTopic.topic);
  StateTable late(*w.reader_side, w.loop, w.signer, "identity");
  late.Start();
  w.loop.RunFor(seconds(2));
  EXPECT_TRUE(w.Agrees(late));
  std::string last_value;
  for (auto& record : w.cluster.Log(kTopic)) {
    if (record.key == "key/acme/ghost") EXPECT_FALSE(record.value.has_value());
    if (record.key == "key/acme/k") last_value = record.value.value_or("");
  }
  auto state = schema::Decode<schema::StateRecord>(last_value);
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->version, 1);
  EXPECT_EQ(state->epoch, w.store.epoch());
}

TEST(OutboxRelay, DeletionsLeaveTheTopicInTheEnd) {
  World w;
  auto a = w.NewInstance("a");
  w.store.Put("key", "acme", "gone", "{}");
  w.store.Delete("key", "acme", "gone");
  w.store.Put("key", "acme", "again", "{}");
  w.store.Delete("key", "acme", "again");
  w.loop.RunFor(std::chrono::hours(25));
  w.store.Put("key", "acme", "again", "{}");
  w.loop.RunFor(seconds(200));
  std::map<std::string, bool> present;
  for (auto& record : w.cluster.Log(kTopic)) present[*record.key] = record.value.has_value();
  EXPECT_FALSE(present["key/acme/gone"]);
  EXPECT_TRUE(present["key/acme/again"]);
  EXPECT_TRUE(w.Agrees(*w.table));
}

// Instances crash, freeze and come back, produces fail; at the end every reader agrees with the
// database, also one that starts from the compacted topic.
TEST(OutboxRelay, ConvergesWhateverFails) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed);
    w.cluster.set_faults({.produce_fail = 0.02,
                          .produce_lost_ack = 0.02,
                          .min_latency = Duration(100),
                          .max_latency = Duration(20'000)});
    std::mt19937_64 random(seed);
    std::vector<std::unique_ptr<Instance>> instances(2);
    int serial = 0;
    for (int step = 0; step < 60; ++step) {
      std::string name = "k" + std::to_string(random() % 8);
      switch (random() % 8) {
        case 0: {
          auto& instance = instances[random() % 2];
          instance.reset();
          if (random() % 3 != 0) instance = w.NewInstance("i" + std::to_string(serial++));
          break;
        }
        case 1:
          w.cluster.set_partitioned("i" + std::to_string(serial - 1), random() % 2 == 0);
          break;
        case 2:
          w.store.down = random() % 3 == 0;
          break;
        case 3:
          w.store.Delete("key", "acme", name);
          break;
        default:
          w.store.Put("key", "acme", name, "{}");
      }
      w.loop.RunFor(Duration(static_cast<int64_t>(random() % 2'000'000)));
    }
    w.store.down = false;
    w.cluster.set_faults({});
    for (int i = 0; i < serial; ++i) w.cluster.set_partitioned("i" + std::to_string(i), false);
    auto last = w.NewInstance("last");
    ASSERT_TRUE(
        w.loop.RunUntil([&] { return w.store.rows().empty() && w.Agrees(*w.table); }, seconds(60)));
    w.loop.RunFor(seconds(2));
    w.cluster.Compact(kTopic.topic);
    StateTable late(*w.reader_side, w.loop, w.signer, "identity");
    late.Start();
    w.loop.RunFor(seconds(2));
    ASSERT_TRUE(w.Agrees(late));
  }
}

}  // namespace
}  // namespace dispatch::outbox_relay_test
