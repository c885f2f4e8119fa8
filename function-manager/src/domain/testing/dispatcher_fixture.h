#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/recorded_spans.h"
#include "common/testing/simulated_loop.h"
#include "function-manager/src/domain/dispatcher.h"

namespace dispatch::testing {

/// A dispatcher with one subscription and the books of one partition, on simulated time. A test
/// says what the endpoint does (`Send`), and changes the subscription before its first delivery.
class DispatcherFixture : public ::testing::Test,
                          protected Dispatcher::Host,
                          protected Catalog,
                          protected Sender,
                          protected AttemptLog {
 protected:
  explicit DispatcherFixture(schema::DeliveryMode mode) {
    subscription_.uuid.bytes[0] = 1;
    subscription_.org = "acme";
    subscription_.name = "billing";
    subscription_.sink = schema::Sink{"http://h/", {}, mode};
    MakeTopic(broker::kDeadLettersTopic);
    producer_ = broker_->NewProducer({});
    Dispatcher::Host& host = *this;
    Catalog& catalog = *this;
    Sender& sender = *this;
    AttemptLog& attempts = *this;
    Dispatcher::Options options;
    options.tracer = &tracer_;
    dispatcher_ = std::make_unique<Dispatcher>(
        loop_, host, *producer_, catalog, sender, attempts, [] { return 0.5; }, options);
  }

  void MakeTopic(const std::string& name) {
    broker_->admin().CreateTopic({name, 1, 1, {}}, [](const Status&) {});
    loop_.RunFor(std::chrono::seconds(1));
  }
  /// The invocation, for the subscription, at the place of its source offset.
  void Take(schema::Invocation invocation) {
    invocation.org = "acme";
    invocation.topic = "orders";
    invocation.targets.push_back({subscription_.uuid, 1, 0});
    broker::Record record;
    record.offset = invocation.source_offset;
    record.value = "bytes";
    for (auto& d : books_->TakeIn(record, invocation, 0)) dispatcher_->Take(d);
  }
  schema::DeliveryCounters Counters() { return books_->accounts()[subscription_.uuid].counters; }

  schema::Subscription subscription_;
  SimulatedLoop loop_;
  RecordedSpans spans_;
  Tracer tracer_{loop_, spans_};
  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("function-manager");
  std::unique_ptr<broker::Producer> producer_;
  std::shared_ptr<InvocationPartition> books_ =
      std::make_shared<InvocationPartition>(InvokeClaim{}, OffsetTracker::Limits{});
  std::unique_ptr<Dispatcher> dispatcher_;

 private:
  Duration membership_age() const override { return Duration::zero(); }
  bool revoking(int32_t) const override { return false; }
  void DisableSubscription(const schema::Subscription&, const std::string&) override {}
  void CircuitChanged(const Uuid&) override {}
  void NoteTrial(const DeliveryPtr&, std::vector<TrialRun::Noted>,
                 std::function<void(Status)> done) override {
    loop_.Post([done = std::move(done)] { done(OkStatus()); });
  }
  Lookup Find(const Uuid&, int64_t, Duration) const override {
    if (known_ == nullptr) known_ = std::make_shared<const schema::Subscription>(subscription_);
    return {Known::kPresent, known_};
  }
  std::optional<schema::Sink> SinkOf(const schema::Subscription& s) const override {
    return s.sink;
  }
  void Record(Attempt) override {}

  mutable std::shared_ptr<const schema::Subscription> known_;
};

}  // namespace dispatch::testing
