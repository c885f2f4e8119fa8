#include "broker-adapters/gapless_producer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::gapless_producer_test {
namespace {

using broker::GaplessProducer;
using broker::MemoryCluster;
using broker::Record;

struct World {
  explicit World(uint64_t seed) : cluster(loop, seed), broker(cluster.Connect("w")) {
    bool made = false;
    broker->admin().CreateTopic({.name = "t", .partitions = 3}, [&](Status) { made = true; });
    loop.RunUntil([&] { return made; });
  }
  testing::SimulatedLoop loop;
  MemoryCluster cluster;
  std::unique_ptr<broker::Broker> broker;
};

// Every record of a partition is there; what came first of each is in the order it was given.
void ExpectGapless(const std::vector<Record>& log, int count) {
  std::vector<int> firsts;
  std::map<int, int> copies;
  for (const Record& r : log) {
    int value = std::stoi(*r.value);
    if (copies[value]++ == 0) firsts.push_back(value);
  }
  ASSERT_EQ(firsts.size(), static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) ASSERT_EQ(firsts[i], i);
}

TEST(GaplessProducer, KeepsOrderAndLeavesNothingOutWhateverFails) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    World w(seed);
    w.cluster.set_faults({.produce_fail = 0.01,
                          .produce_lost_ack = 0.01,
                          .min_latency = Duration(100),
                          .max_latency = Duration(5'000)});
    GaplessProducer producer(*w.broker, w.loop, {});
    constexpr int kCount = 100;
    std::map<int, int> acked;  // by partition: the next expected
    int total = 0;
    for (int i = 0; i < kCount; ++i) {
      for (int32_t p = 0; p < 3; ++p) {
        producer.Produce({.topic = "t", .partition = p, .value = std::to_string(i)},
                         [&, i, p](Status s) {
                           EXPECT_TRUE(s.ok());
                           EXPECT_EQ(acked[p]++, i) << "acknowledged out of order";
                           ++total;
                         });
      }
      if (i % 10 == 0) w.loop.RunFor(Duration(500));
      if (i == 40) w.cluster.set_down(true);
      if (i == 60) w.cluster.set_down(false);
    }
    ASSERT_TRUE(w.loop.RunUntil([&] { return total == 3 * kCount; }));
    EXPECT_EQ(producer.outstanding(), 0u);
    EXPECT_EQ(producer.outstanding_bytes(), 0u);
    w.cluster.set_faults({});
    for (int32_t p = 0; p < 3; ++p) ExpectGapless(w.cluster.Log({"t", p}), kCount);
    if (HasFatalFailure()) return;
  }
}

TEST(GaplessProducer, ReportsWhatIsRefusedForItselfAndGoesOn) {
  World w(1);
  GaplessProducer producer(*w.broker, w.loop, {.max_message_bytes = 3'000'000});
  std::vector<Code> codes;
  auto produce = [&](const std::string& topic, std::string value) {
    producer.Produce({.topic = topic, .partition = 0, .value = std::move(value)},
                     [&](Status s) { codes.push_back(s.code()); });
  };
  produce("t", "0");
  produce("t", std::string(2'000'000, 'x'));  // over the topic's bound
  produce("t", std::string(4'000'000, 'x'));  // over the producer's
  produce("t", "1");
  ASSERT_TRUE(w.loop.RunUntil([&] { return codes.size() == 4; }));
  std::sort(codes.begin(), codes.end());
  EXPECT_EQ(codes, (std::vector<Code>{Code::kOk, Code::kOk, Code::kTooLarge, Code::kTooLarge}));
  produce("nowhere", "x");
  ASSERT_TRUE(w.loop.RunUntil([&] { return codes.size() == 5; }));
  EXPECT_EQ(codes.back(), Code::kNotFound);
  ExpectGapless(w.cluster.Log({"t", 0}), 2);
}

TEST(GaplessProducer, NeverTimesOutAndTellsWhenItIsFull) {
  World w(1);
  GaplessProducer producer(*w.broker, w.loop,
                           {.delivery_timeout = std::chrono::seconds(1), .max_queue_records = 20});
  w.cluster.set_down(true);
  int acked = 0;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(producer.full(), i >= 10);
    producer.Produce({.topic = "t", .partition = 0, .value = std::to_string(i)},
                     [&](Status s) { acked += s.ok() ? 1 : 0; });
  }
  w.loop.RunFor(std::chrono::hours(2));
  EXPECT_EQ(acked, 0);
  w.cluster.set_down(false);
  ASSERT_TRUE(w.loop.RunUntil([&] { return acked == 30; }));
  ExpectGapless(w.cluster.Log({"t", 0}), 30);
}

TEST(GaplessProducer, MayEndAtAnyTime) {
  World w(1);
  auto producer = std::make_unique<GaplessProducer>(*w.broker, w.loop, broker::ProducerOptions{});
  int acked = 0;
  for (int i = 0; i < 5; ++i) {
    producer->Produce({.topic = "t", .partition = 0, .value = "v"}, [&](Status) {
      ++acked;
      producer.reset();
    });
  }
  w.loop.RunFor(std::chrono::seconds(1));
  EXPECT_EQ(acked, 1);
}

}  // namespace
}  // namespace dispatch::gapless_producer_test
