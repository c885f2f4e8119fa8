#include "event-manager/src/domain/match_engine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/testing/scripted_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/recorded_spans.h"
#include "common/testing/simulated_loop.h"
#include "event-manager/src/domain/testing/memory_match_store.h"

namespace dispatch::match_engine_test {
namespace {

using broker::testing::ScriptedBroker;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kOverdue = std::chrono::minutes(1);

/// Two partitions of a topic with one subscription to all, both ours.
class MatchEngineTest : public ::testing::Test {
 protected:
  MatchEngineTest() {
    topic_.uuid.bytes[0] = 1;
    topic_.org = "acme";
    topic_.name = "orders";
    topic_.partitions = 2;
    for (const std::string& name : {topic_.KafkaName(), std::string(broker::kInvocationsTopic)}) {
      broker_->admin().CreateTopic({name, 2, 1, {}}, [](const Status&) {});
    }
    loop_.RunFor(seconds(1));
    engine_.PutTopic(topic_);
    schema::Subscription all;
    all.uuid.bytes[0] = 2;
    all.org = topic_.org;
    all.name = "all";
    all.topic = topic_.name;
    all.topic_uuid = topic_.uuid;
    engine_.PutSubscription(all);
    engine_.Start();
    loop_.RunFor(seconds(1));
    scripted_.group->OnAssigned({Partition(0), Partition(1)}, 1);
    loop_.RunFor(seconds(1));
  }

  broker::TopicPartition Partition(int32_t partition) const {
    return {topic_.KafkaName(), partition};
  }

  void Read(int32_t partition, int64_t first, int64_t end) {
    std::vector<broker::Record> records;
    for (int64_t offset = first; offset < end; ++offset) {
      broker::Record& record = records.emplace_back();
      record.topic = topic_.KafkaName();
      record.partition = partition;
      record.offset = offset;
      record.headers = {{"ce_specversion", "1.0"},
                        {"ce_id", std::to_string(offset)},
                        {"ce_source", "/test"},
                        {"ce_type", "any"}};
      if (!traceparent_.empty()) record.headers.emplace_back("traceparent", traceparent_);
      record.value = broken_ ? std::nullopt : std::optional("{}");
      if (broken_) record.headers[0].second = "9";
    }
    scripted_.group->OnRecords(std::move(records));
    loop_.RunFor(seconds(1));
  }

  /// The source offsets of what was written of a partition, in order.
  std::vector<int64_t> Written(int32_t partition) const {
    std::vector<int64_t> offsets;
    for (int32_t p = 0; p < 2; ++p) {
      for (const auto& record : cluster_.Log({broker::kInvocationsTopic, p})) {
        auto invocation = schema::Decode<schema::Invocation>(*record.value);
        if (invocation->source_partition == partition) offsets.push_back(invocation->source_offset);
      }
    }
    std::sort(offsets.begin(), offsets.end());
    return offsets;
  }

  /// What goes along with what was written, in its order.
  std::vector<std::string> Traceparents() const {
    std::vector<std::string> all;
    for (int32_t p = 0; p < 2; ++p) {
      for (const auto& record : cluster_.Log({broker::kInvocationsTopic, p})) {
        auto invocation = schema::Decode<schema::Invocation>(*record.value);
        std::string_view found = FindTraceparent(invocation->event.headers);
        if (!found.empty()) all.emplace_back(found);
      }
    }
    return all;
  }

  std::string traceparent_;  // of records to read
  bool broken_ = false;      // they are no events
  testing::SimulatedLoop loop_;
  testing::RecordedSpans spans_;
  Tracer tracer_{loop_, spans_};
  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("test");
  ScriptedBroker scripted_{*broker_};
  testing::MemoryMatchStore store_{loop_, [] { return milliseconds(1); }};
  schema::Topic topic_;
  MatchEngine engine_{scripted_, loop_, store_, {.invocations_partitions = 2, .tracer = &tracer_}};
};

TEST_F(MatchEngineTest, WritesNothingWhileTheGroupHasNotConfirmedIt) {
  scripted_.member->set_membership_age(kOverdue);
  Read(0, 0, 3);
  EXPECT_TRUE(Written(0).empty());
  scripted_.member->set_membership_age(Duration::zero());
  loop_.RunFor(seconds(1));
  EXPECT_EQ(Written(0), (std::vector<int64_t>{0, 1, 2}));
}

TEST_F(MatchEngineTest, WhatWasReadUnconfirmedStaysWhenOtherPartitionsGo) {
  scripted_.member->set_membership_age(kOverdue);
  Read(0, 0, 3);
  Read(1, 0, 3);
  scripted_.group->OnRevoked({Partition(1)}, [] {});
  loop_.RunFor(seconds(1));
  scripted_.member->set_membership_age(Duration::zero());
  loop_.RunFor(seconds(1));
  EXPECT_EQ(Written(0), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_TRUE(Written(1).empty()) << "they come to its next owner";
}

TEST_F(MatchEngineTest, AMatchIsASpanAndTheParentOfWhatFollows) {
  const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";
  traceparent_ = header + "1";
  Read(1, 0, 1);
  Span span = spans_.Only("acme.orders process");
  EXPECT_EQ(span.kind, Span::Kind::kConsumer);
  EXPECT_EQ(span.context.trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(span.parent_id, "b7ad6b7169203331");
  auto at = [&](std::string_view key) { return testing::RecordedSpans::Attribute(span, key); };
  EXPECT_EQ(at("messaging.destination.name"), "acme.orders");
  EXPECT_EQ(at("messaging.destination.partition.id"), "1");
  EXPECT_EQ(at("messaging.kafka.offset"), "0");
  EXPECT_EQ(at("cloudevents.event_type"), "any");
  EXPECT_EQ(at("dispatch.matched"), "1");
  EXPECT_EQ(Traceparents(), std::vector{span.context.ToTraceparent()});

  traceparent_ = header + "0";
  Read(1, 1, 2);
  EXPECT_EQ(spans_.spans.size(), 1u);
  EXPECT_EQ(Traceparents().back(), traceparent_) << "what is not sampled passes unchanged";
  traceparent_.clear();
  Read(1, 2, 3);
  EXPECT_EQ(spans_.spans.size(), 1u);
  EXPECT_EQ(Traceparents().size(), 2u);
}

TEST_F(MatchEngineTest, EventsThatNobodyGetsHaveASpanToo) {
  traceparent_ = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  broken_ = true;
  Read(0, 0, 1);
  ASSERT_EQ(spans_.spans.size(), 1u);
  EXPECT_TRUE(spans_.spans[0].error);
  broken_ = false;
  Uuid all;
  all.bytes[0] = 2;
  engine_.RemoveSubscription(all);
  Read(0, 1, 2);
  ASSERT_EQ(spans_.spans.size(), 2u);
  EXPECT_EQ(testing::RecordedSpans::Attribute(spans_.spans[1], "dispatch.matched"), "0");
  EXPECT_FALSE(spans_.spans[1].error);
}

}  // namespace
}  // namespace dispatch::match_engine_test
