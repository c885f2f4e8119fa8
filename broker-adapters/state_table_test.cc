#include "broker-adapters/state_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::state_table_test {
namespace {

using broker::Entity;
using broker::MemoryCluster;
using broker::RecordSigner;
using broker::StateTable;
using std::chrono::seconds;

struct World {
  World() : cluster(loop, 1), broker(cluster.Connect("w")) {
    cluster.set_faults({.min_latency = Duration(100), .max_latency = Duration(1'000)});
    bool made = false;
    EnsureTopics(*broker, loop, broker::InternalTopics(1, 4), [&] { made = true; });
    loop.RunUntil([&] { return made; });
    producer = broker->NewProducer({});
    NewTable();
  }

  void NewTable() {
    table = std::make_unique<StateTable>(*broker, loop, signer, "identity");
    table->OnChanged([this](const std::string& kind, const std::string& key, const auto& before,
                            const auto& after) {
      changes.push_back(fmt::format("{} {} {}->{}", kind, key, before ? before->version : 0,
                                    after ? after->version : 0));
    });
  }
  bool Ready() {
    table->Start();
    return loop.RunUntil([&] { return table->ready(); });
  }

  void Write(const std::string& name, int64_t version, int64_t epoch = 1, bool deleted = false,
             const RecordSigner* with = nullptr) {
    schema::StateRecord state;
    state.kind = name == "beat" ? "heartbeat" : "key";
    state.org = "acme";
    state.name = name;
    state.version = version;
    state.epoch = epoch;
    state.deleted = deleted;
    state.document = fmt::format(R"({{"v":{}}})", version);
    state.written_ms = ToMillis(loop.Now());
    broker::ProduceRecord record{.topic = broker::StateTopic("identity"),
                                 .partition = 0,
                                 .key = state.Key(),
                                 .value = schema::Encode(state)};
    (with ? *with : signer).Sign(record);
    bool done = false;
    ASSERT_TRUE(
        producer->Produce(std::move(record), [&](Result<broker::Position>) { done = true; }).ok());
    ASSERT_TRUE(loop.RunUntil([&] { return done; }));
  }
  void Settle() { loop.RunFor(Duration(20'000)); }
  int64_t Version(const std::string& name) const {
    auto entity = table->Find("key", "acme/" + name);
    return entity ? entity->version : 0;
  }

  testing::SimulatedLoop loop;
  MemoryCluster cluster;
  RecordSigner signer{std::string(32, 'k')};
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<broker::Producer> producer;
  std::unique_ptr<StateTable> table;
  std::vector<std::string> changes;
};

TEST(StateTable, BootstrapsAndFollows) {
  World w;
  for (int i = 1; i <= 1200; ++i) w.Write("k" + std::to_string(i % 7), i);
  EXPECT_FALSE(w.table->ready());
  EXPECT_EQ(w.table->age(), Duration::max());
  ASSERT_TRUE(w.Ready());
  EXPECT_EQ(w.table->size(), 7u);
  EXPECT_EQ(w.Version("k3"), 1200 - (1200 % 7) + 3 - 7 * (1200 % 7 < 3 ? 1 : 0));
  auto entity = w.table->Find("key", "acme/k1");
  ASSERT_NE(entity, nullptr);
  EXPECT_EQ(entity->document.at("v").as_int64(), entity->version);
  size_t visited = 0;
  w.table->ForEach("key", [&](const auto&) { ++visited; });
  EXPECT_EQ(visited, 7u);
  w.Write("new", 2000);
  w.Settle();
  EXPECT_EQ(w.Version("new"), 2000);
  EXPECT_EQ(w.changes.back(), "key acme/new 0->2000");
}

TEST(StateTable, AppliesNewerVersionsOnly) {
  World w;
  ASSERT_TRUE(w.Ready());
  w.Write("a", 5);
  w.Write("a", 4);
  w.Write("a", 5);
  w.Write("a", 7);
  w.Settle();
  EXPECT_EQ(w.changes, (std::vector<std::string>{"key acme/a 0->5", "key acme/a 5->7"}));
}

TEST(StateTable, ADeletionIsRemembered) {
  World w;
  ASSERT_TRUE(w.Ready());
  w.Write("a", 5);
  w.Write("a", 8, 1, true);
  w.Write("a", 6);  // late
  w.Settle();
  EXPECT_EQ(w.table->Find("key", "acme/a"), nullptr);
  EXPECT_EQ(w.table->size(), 0u);
  w.loop.RunFor(seconds(900));
  w.Write("a", 9);  // a new incarnation
  w.Settle();
  EXPECT_EQ(w.Version("a"), 9);
  EXPECT_EQ(w.changes,
            (std::vector<std::string>{"key acme/a 0->5", "key acme/a 5->0", "key acme/a 0->9"}));
}

TEST(StateTable, RefusesOlderEpochsAndForgeries) {
  World w;
  ASSERT_TRUE(w.Ready());
  w.Write("a", 5, 2);
  w.Write("a", 9, 1);  // a relay that was replaced
  RecordSigner stranger(std::string(32, 'x'));
  w.Write("a", 10, 2, false, &stranger);
  w.Write("b", 11, 3, false, &stranger);
  w.Settle();
  EXPECT_EQ(w.Version("a"), 5);
  EXPECT_EQ(w.table->size(), 1u);
  w.Write("a", 6, 3);
  w.Settle();
  EXPECT_EQ(w.Version("a"), 6);
}

TEST(StateTable, KnowsItsAge) {
  World w;
  w.Write("beat", 0);
  w.loop.RunFor(seconds(100));
  ASSERT_TRUE(w.Ready());
  EXPECT_GE(w.table->age(), seconds(99)) << "an old heartbeat makes nothing young";
  w.Write("beat", 0);
  w.Settle();
  EXPECT_LT(w.table->age(), seconds(1));
  w.loop.RunFor(seconds(30));
  EXPECT_GE(w.table->age(), seconds(29));
  EXPECT_TRUE(w.changes.empty());
}

TEST(StateTable, WaitsForAVersion) {
  World w;
  ASSERT_TRUE(w.Ready());
  std::vector<std::string> told;
  auto wait = [&](const std::string& name, int64_t version) {
    w.table->WaitFor("key", "acme/" + name, version, seconds(2),
                     [&, name](bool there) { told.push_back(name + (there ? "+" : "-")); });
  };
  w.Write("a", 5);
  w.Settle();
  wait("a", 5);
  EXPECT_TRUE(told.empty()) << "never inside the call";
  w.Settle();
  EXPECT_EQ(told, (std::vector<std::string>{"a+"}));
  wait("a", 7);
  wait("b", 8);
  wait("c", 9);
  w.Write("a", 6);
  w.Write("a", 8);
  w.Write("b", 10, 1, true);  // its deletion is newer too
  w.Settle();
  EXPECT_EQ(told, (std::vector<std::string>{"a+", "a+", "b+"}));
  w.loop.RunFor(seconds(3));
  EXPECT_EQ(told.back(), "c-");
}

TEST(StateTable, BootstrapsFromACompactedTopic) {
  World w;
  w.cluster.set_faults({.offset_gap = 0.3});
  for (int i = 1; i <= 200; ++i) w.Write("k" + std::to_string(i % 5), i);
  w.Write("k0", 300, 1, true);
  w.cluster.Compact(broker::StateTopic("identity"));
  EXPECT_LE(w.cluster.Log({broker::StateTopic("identity"), 0}).size(), 6u);
  ASSERT_TRUE(w.Ready());
  EXPECT_EQ(w.table->size(), 4u);
  EXPECT_EQ(w.Version("k1"), 196);
}

TEST(StateTable, ReadsAllAgainWhenTheLogIsCutUnderIt) {
  World w;
  for (int i = 1; i <= 5; ++i) w.Write("k" + std::to_string(i), i);
  ASSERT_TRUE(w.Ready());
  w.cluster.set_partitioned("w", true);
  auto other = w.cluster.Connect("other");
  w.producer = other->NewProducer({});
  w.Write("k1", 10);
  w.Write("k2", 11);
  w.cluster.Truncate({broker::StateTopic("identity"), 0}, 6);
  w.cluster.set_partitioned("w", false);
  w.loop.RunFor(seconds(5));
  EXPECT_EQ(w.Version("k2"), 11);
  w.Write("k3", 12);
  w.Settle();
  EXPECT_EQ(w.Version("k3"), 12);
}

TEST(StateTable, MayEndInItsOwnCallback) {
  World w;
  for (int i = 1; i <= 5; ++i) w.Write("k" + std::to_string(i), i);
  int changes = 0;
  w.table->OnChanged([&](const auto&, const auto&, const auto&, const auto&) {
    ++changes;
    w.table.reset();
  });
  w.table->Start();
  w.loop.RunFor(seconds(5));
  EXPECT_EQ(changes, 1);
}

}  // namespace
}  // namespace dispatch::state_table_test
