#include "function-manager/src/domain/invoker.h"

#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/testing/scripted_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"
#include "function-manager/src/domain/testing/memory_invoke_store.h"

namespace dispatch::invoker_test {
namespace {

using broker::testing::ScriptedBroker;
using std::chrono::milliseconds;
using std::chrono::seconds;

const broker::TopicPartition kPartition{broker::kInvocationsTopic, 0};

/// One partition and one subscription, whose endpoint does not answer.
class InvokerTest : public ::testing::Test, private Catalog, private Sender, private AttemptLog {
 protected:
  InvokerTest() {
    auto subscription = std::make_shared<schema::Subscription>();
    subscription->uuid.bytes[0] = 1;
    subscription->sink = schema::Sink{"http://h/", {}};
    subscription_ = subscription;
    for (const char* topic : {broker::kDeadLettersTopic, broker::kProgressTopic}) {
      broker_->admin().CreateTopic({topic, 1, 1, {}}, [](const Status&) {});
    }
    loop_.RunFor(seconds(1));
    Catalog& catalog = *this;
    Sender& sender = *this;
    AttemptLog& attempts = *this;
    invoker_ = std::make_unique<Invoker>(
        scripted_, loop_, store_, catalog, sender, attempts, [] { return 0.5; },
        [](const schema::Subscription&, const std::string&) {}, Invoker::Options{});
    invoker_->Start();
    loop_.RunFor(seconds(1));
  }

  void Assign() {
    scripted_.group->OnAssigned({kPartition}, ++generation_);
    loop_.RunFor(seconds(1));
  }
  void Read(int64_t end) {
    std::vector<broker::Record> records;
    for (int64_t offset = 0; offset < end; ++offset) {
      schema::Invocation invocation;
      invocation.source_offset = offset;
      invocation.targets.push_back({subscription_->uuid, 1, 0});
      broker::Record& record = records.emplace_back();
      record.topic = kPartition.topic;
      record.offset = offset;
      record.value = schema::Encode(invocation);
    }
    scripted_.group->OnRecords(std::move(records));
    loop_.RunFor(milliseconds(100));
  }

  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("test");
  ScriptedBroker scripted_{*broker_};
  testing::MemoryInvokeStore store_{loop_, [] { return milliseconds(1); }};
  std::unique_ptr<Invoker> invoker_;
  size_t sent_ = 0;

 private:
  Lookup Find(const Uuid&, int64_t, Duration) const override {
    return {Known::kPresent, subscription_};
  }
  std::optional<schema::Sink> SinkOf(const schema::Subscription& s) const override {
    return s.sink;
  }
  void Send(SendRequest, std::function<void(Answer)>) override { ++sent_; }
  void Record(Attempt) override {}

  std::shared_ptr<const schema::Subscription> subscription_;
  uint64_t generation_ = 0;
};

TEST_F(InvokerTest, WhatACrashLeftRunsAloneFirst) {
  store_.Claim({0}, [](const auto&) {});  // of a process that is no more
  loop_.RunFor(milliseconds(10));
  Assign();
  Read(5);
  EXPECT_EQ(sent_, 1u);
}

TEST_F(InvokerTest, WhatAPartitionThatWasLostLeftDoesNot) {
  Assign();
  Read(5);
  EXPECT_EQ(sent_, 5u);
  scripted_.group->OnLost({kPartition});
  Assign();
  Read(5);
  EXPECT_EQ(sent_, 10u) << "nothing ended this process";
}

TEST_F(InvokerTest, AnotherOwnersLossIsNoCrashEither) {
  Assign();
  Read(5);
  scripted_.group->OnLost({kPartition});
  loop_.RunFor(milliseconds(10));
  std::optional<int32_t> unclean;
  store_.Claim({0}, [&](const auto& claims) { unclean = claims->front().unclean_starts; });
  loop_.RunFor(milliseconds(10));
  EXPECT_EQ(unclean, 0);
}

}  // namespace
}  // namespace dispatch::invoker_test
