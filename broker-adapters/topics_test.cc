#include "broker-adapters/topics.h"

#include <gtest/gtest.h>

#include <map>

#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::topics_test {
namespace {

using namespace broker;  // NOLINT

std::map<std::string, TopicSpec> ByName(int16_t replicas) {
  std::map<std::string, TopicSpec> specs;
  for (auto& spec : InternalTopics(replicas, 16)) specs[spec.name] = spec;
  return specs;
}

std::string Setting(const TopicSpec& spec, const std::string& name) {
  for (auto& [key, value] : spec.config) {
    if (key == name) return value;
  }
  return "";
}

TEST(Topics, AreThoseOfTheDesign) {
  auto specs = ByName(1);
  EXPECT_EQ(specs.size(), 11u);
  EXPECT_EQ(specs.at("dispatch.invocations").partitions, 16);
  EXPECT_EQ(specs.at("dispatch.replies").partitions, 8);
  EXPECT_EQ(specs.at("dispatch.rpc.identity").partitions, 4);
  EXPECT_EQ(specs.at("dispatch.state.identity").partitions, 1);
  EXPECT_EQ(specs.at("dispatch.progress").partitions, 4);
  EXPECT_EQ(specs.at("dispatch.dead-letters").partitions, 4);
  EXPECT_EQ(specs.at("dispatch.audit").partitions, 1);
  for (auto& [name, spec] : specs) {
    EXPECT_EQ(Setting(spec, "max.message.bytes"), "2097152") << name;
    EXPECT_EQ(Setting(spec, "min.insync.replicas"), "1") << name;
    bool compact = name == "dispatch.progress" || name.starts_with("dispatch.state.");
    EXPECT_EQ(Setting(spec, "cleanup.policy"), compact ? "compact" : "delete") << name;
    EXPECT_EQ(Setting(spec, "retention.ms").empty(), compact) << name;
  }
  EXPECT_EQ(Setting(ByName(3).at("dispatch.audit"), "min.insync.replicas"), "2");
  EXPECT_EQ(ByName(3).at("dispatch.audit").replication_factor, 3);
}

TEST(Topics, EnsureMakesWhatIsMissingWhenKafkaComes) {
  dispatch::testing::SimulatedLoop loop;
  MemoryCluster cluster(loop, 1);
  auto broker = cluster.Connect("a");
  auto other = cluster.Connect("b");
  cluster.set_down(true);
  int done = 0;
  EnsureTopics(*broker, loop, InternalTopics(1, 16), [&] { ++done; });
  EnsureTopics(*other, loop, InternalTopics(1, 16), [&] { ++done; });  // another service
  loop.RunFor(std::chrono::seconds(30));
  EXPECT_EQ(done, 0);
  cluster.set_down(false);
  ASSERT_TRUE(loop.RunUntil([&] { return done == 2; }));
  EXPECT_EQ(cluster.Partitions("dispatch.invocations"), 16);
}

TEST(Topics, EnsureEndsWithItsBroker) {
  dispatch::testing::SimulatedLoop loop;
  MemoryCluster cluster(loop, 1);
  auto broker = cluster.Connect("a");
  cluster.set_down(true);
  EnsureTopics(*broker, loop, InternalTopics(1, 16), [] { FAIL(); });
  loop.RunFor(std::chrono::milliseconds(5'500));
  broker.reset();
  cluster.set_down(false);
  loop.RunFor(std::chrono::seconds(30));
}

}  // namespace
}  // namespace dispatch::topics_test
