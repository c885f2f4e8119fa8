#include "event-manager/src/domain/invocation_writer.h"

#include <gtest/gtest.h>

#include <map>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::invocation_writer_test {
namespace {

class InvocationWriterTest : public ::testing::Test {
 protected:
  InvocationWriterTest() : cluster_(loop_, 1), broker_(cluster_.Connect("test")) {
    for (auto& spec : broker::InternalTopics(1, 4)) {
      broker_->admin().CreateTopic(spec, [](Status) {});
    }
    loop_.RunFor(std::chrono::seconds(1));
    producer_ =
        std::make_unique<broker::GaplessProducer>(*broker_, loop_, broker::ProducerOptions{});
    writer_ = std::make_unique<InvocationWriter>(*producer_, 4);
    topic_.uuid = Uuid::Random();
    topic_.org = "acme";
    topic_.name = "orders";
  }

  std::vector<schema::Invocation> Written() {
    std::vector<schema::Invocation> all;
    for (int32_t p = 0; p < 4; ++p) {
      for (const auto& record : cluster_.Log({broker::kInvocationsTopic, p})) {
        all.push_back(*schema::Decode<schema::Invocation>(*record.value));
      }
    }
    return all;
  }

  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<broker::GaplessProducer> producer_;
  std::unique_ptr<InvocationWriter> writer_;
  schema::Topic topic_;
};

TEST_F(InvocationWriterTest, ManyTargetsGoInChunksOfOnePartition) {
  std::vector<schema::Target> targets(600);
  for (auto& target : targets) target.subscription = Uuid::Random();
  broker::Record record;
  record.partition = 2;
  record.offset = 41;
  record.value = "{}";
  int done = 0;
  writer_->Write(topic_, record, {}, Uuid{}, targets, [&] { ++done; });
  EXPECT_EQ(done, 0);
  loop_.RunFor(std::chrono::seconds(1));
  EXPECT_EQ(done, 1);
  auto written = Written();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[0].targets.size(), 256u);
  EXPECT_EQ(written[2].targets.size(), 88u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(written[i].chunk, i);
    EXPECT_EQ(written[i].chunks, 3);
    EXPECT_EQ(written[i].source_offset, 41);
  }
}

TEST_F(InvocationWriterTest, ThePartitionFollowsTheKeyOrThePosition) {
  Uuid topic = topic_.uuid;
  std::string key = "customer-7";
  int32_t by_key = InvocationWriter::PartitionFor(&key, topic, 0, 1, 4);
  EXPECT_EQ(InvocationWriter::PartitionFor(&key, topic, 3, 999, 4), by_key);
  std::map<int32_t, int> spread;
  for (int64_t offset = 0; offset < 4 * InvocationWriter::kRun; ++offset) {
    int32_t first = InvocationWriter::PartitionFor(nullptr, topic, 1, offset, 4);
    int64_t head = offset - offset % InvocationWriter::kRun;
    EXPECT_EQ(InvocationWriter::PartitionFor(nullptr, topic, 1, head, 4), first);
    ++spread[first];
  }
  ASSERT_EQ(spread.size(), 4u);
  for (auto [partition, events] : spread) EXPECT_EQ(events, InvocationWriter::kRun);
}

TEST_F(InvocationWriterTest, TheTimeOfAnEventGoesWithIt) {
  broker::Record record;
  record.timestamp_ms = 1'700'000'000'000;
  cloudevents::Event event;
  event.Set("deliverat", "2023-11-14T22:14:20Z");
  writer_->Write(topic_, record, event, Uuid{}, {schema::Target{}}, [] {});
  event.Set("deliverat", "2023-11-14T22:13:19Z");  // before the record
  writer_->Write(topic_, record, event, Uuid{}, {schema::Target{}}, [] {});
  loop_.RunFor(std::chrono::seconds(1));
  auto written = Written();
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0].deliver_at_ms, record.timestamp_ms + 60'000);
  EXPECT_EQ(written[1].deliver_at_ms, 0);
}

TEST_F(InvocationWriterTest, WhatFitsNoRecordIsADeadLetterByReference) {
  broker::Record record;
  record.partition = 1;
  record.offset = 5;
  record.value = std::string(3 * 1024 * 1024, 'x');
  bool done = false;
  writer_->Write(topic_, record, {}, Uuid{}, {schema::Target{}}, [&] { done = true; });
  loop_.RunFor(std::chrono::seconds(1));
  EXPECT_TRUE(done);
  EXPECT_TRUE(Written().empty());
  std::vector<schema::DeadLetter> letters;
  for (int32_t p = 0; p < cluster_.Partitions(broker::kDeadLettersTopic); ++p) {
    for (const auto& r : cluster_.Log({broker::kDeadLettersTopic, p})) {
      letters.push_back(*schema::Decode<schema::DeadLetter>(*r.value));
    }
  }
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].reason, "too-large");
  EXPECT_EQ(letters[0].id.offset, 5);
  EXPECT_FALSE(letters[0].event.value.has_value());
}

}  // namespace
}  // namespace dispatch::invocation_writer_test
