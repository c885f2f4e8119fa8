// `sink.mode` batch: which deliveries share a request, and what its answer means for each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"
#include "function-manager/src/domain/dispatcher.h"

namespace dispatch::batch_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

class Batches : public ::testing::Test,
                private Dispatcher::Host,
                private Catalog,
                private Sender,
                private AttemptLog {
 protected:
  Batches() {
    subscription_.uuid.bytes[0] = 1;
    subscription_.org = "acme";
    subscription_.name = "billing";
    subscription_.sink = schema::Sink{"http://h/", {}, schema::DeliveryMode::kBatch};
    subscription_.retry.min_backoff = milliseconds(100);
    broker_->admin().CreateTopic({broker::kDeadLettersTopic, 1, 1, {}}, [](const Status&) {});
    loop_.RunFor(seconds(1));
    producer_ = broker_->NewProducer({});
    Dispatcher::Host& host = *this;
    Catalog& catalog = *this;
    Sender& sender = *this;
    AttemptLog& attempts = *this;
    dispatcher_ = std::make_unique<Dispatcher>(
        loop_, host, *producer_, catalog, sender, attempts, [] { return 0.5; },
        Dispatcher::Options{});
  }

  // So many more events, of that many bytes.
  void Deliver(int64_t count, size_t bytes = 10) {
    for (int64_t i = 0; i < count; ++i, ++next_) {
      schema::Invocation invocation;
      invocation.org = "acme";
      invocation.topic = "orders";
      invocation.source_offset = next_;
      invocation.targets.push_back({subscription_.uuid, 1, 0});
      invocation.event.headers = {{"ce_id", std::to_string(next_)}};
      invocation.event.value = std::string(bytes, 'x');
      broker::Record record;
      record.offset = next_;
      record.value = "bytes";
      for (auto& d : books_->TakeIn(record, invocation, 0)) dispatcher_->Take(d);
    }
  }
  std::vector<size_t> Sizes() const {
    std::vector<size_t> sizes;
    for (const auto& request : requests_) sizes.push_back(1 + request.more.size());
    return sizes;
  }
  void Answer(size_t request, int status) {
    dispatch::Answer answer;
    answer.status = status;
    answers_.at(request)(answer);
    loop_.RunFor(milliseconds(1));
  }
  auto Counters() { return books_->accounts()[subscription_.uuid].counters; }

  schema::Subscription subscription_;
  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};
  std::vector<SendRequest> requests_;
  std::vector<std::function<void(dispatch::Answer)>> answers_;

 private:
  Duration membership_age() const override { return Duration::zero(); }
  bool revoking(int32_t) const override { return false; }
  void DisableSubscription(const schema::Subscription&, const std::string&) override {}
  void CircuitChanged(const Uuid&) override {}
  void NoteTrial(const DeliveryPtr&, std::vector<TrialRun::Noted>,
                 std::function<void(Status)> done) override {
    loop_.Post([done = std::move(done)] { done(OkStatus()); });
  }
  Lookup Find(const Uuid&, int64_t, Duration) const override { return {Known::kPresent, known_}; }
  std::optional<schema::Sink> SinkOf(const schema::Subscription& s) const override {
    return s.sink;
  }
  void Send(SendRequest request, std::function<void(dispatch::Answer)> done) override {
    requests_.push_back(std::move(request));
    answers_.push_back(std::move(done));
  }
  void Record(Attempt) override {}

  int64_t next_ = 0;
  std::shared_ptr<const schema::Subscription> known_;

 protected:
  // Once its settings are made.
  void Begin() { known_ = std::make_shared<const schema::Subscription>(subscription_); }

  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("function-manager");
  std::unique_ptr<broker::Producer> producer_;
  std::shared_ptr<InvocationPartition> books_ =
      std::make_shared<InvocationPartition>(InvokeClaim{}, OffsetTracker::Limits{});
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(Batches, AreFullOrWaitAMoment) {
  Begin();
  Deliver(230);
  EXPECT_THAT(Sizes(), ElementsAre(100, 100));
  loop_.RunFor(milliseconds(10));
  EXPECT_EQ(requests_.size(), 2u);
  loop_.RunFor(milliseconds(15));
  EXPECT_THAT(Sizes(), ElementsAre(100, 100, 30));
  // In the order of the log.
  EXPECT_EQ(requests_[1].event->headers[0].second, "100");
  EXPECT_EQ(requests_[1].more.back().event->headers[0].second, "199");
  EXPECT_NE(requests_[1].webhook_id, requests_[1].more[0].webhook_id);
  for (size_t i = 0; i < 3; ++i) Answer(i, 204);
  EXPECT_EQ(Counters().delivered, 230);
}

TEST_F(Batches, HaveALimitOfBytes) {
  Begin();
  Deliver(5, 400'000);
  loop_.RunFor(milliseconds(25));
  EXPECT_THAT(Sizes(), ElementsAre(2, 2, 1));
}

TEST_F(Batches, TakeOnePlaceEach) {
  subscription_.max_in_flight = 1;
  Begin();
  Deliver(150);
  loop_.RunFor(milliseconds(25));
  EXPECT_THAT(Sizes(), ElementsAre(100));
  EXPECT_EQ(dispatcher_->in_flight(), 1u);
  EXPECT_EQ(dispatcher_->in_flight(*books_), 100u);
  Answer(0, 204);
  EXPECT_THAT(Sizes(), ElementsAre(100, 50));
}

TEST_F(Batches, WhatFailedIsTriedAgainEachByItself) {
  Begin();
  Deliver(3);
  loop_.RunFor(milliseconds(25));
  Answer(0, 503);
  loop_.RunFor(seconds(1));
  // The endpoint is overloaded: it gets one at a time, until it answers.
  EXPECT_THAT(Sizes(), ElementsAre(3, 1));
  // A new one does not go along with what was tried before.
  Deliver(1);
  for (size_t i = 1; i < 5; ++i) {
    loop_.RunFor(seconds(1));
    Answer(i, 204);
  }
  EXPECT_THAT(Sizes(), ElementsAre(3, 1, 1, 1, 1));
  std::vector<int> attempts;
  for (const auto& request : requests_) attempts.push_back(request.attempt);
  EXPECT_THAT(attempts, ElementsAre(1, 2, 2, 2, 1));
  EXPECT_EQ(Counters().delivered, 4);
}

TEST_F(Batches, ARefusalIsForTheEventThatItMeans) {
  Begin();
  Deliver(3);
  loop_.RunFor(milliseconds(25));
  Answer(0, 400);
  loop_.RunFor(seconds(1));
  ASSERT_THAT(Sizes(), ElementsAre(3, 1, 1, 1));
  Answer(1, 204);
  Answer(2, 400);
  Answer(3, 204);
  loop_.RunFor(seconds(1));
  EXPECT_EQ(Counters().delivered, 2);
  EXPECT_EQ(Counters().dead_lettered, 1);
}

TEST_F(Batches, AreOfTheModeOnly) {
  subscription_.sink->mode = schema::DeliveryMode::kStructured;
  Begin();
  Deliver(3);
  EXPECT_THAT(Sizes(), ElementsAre(1, 1, 1));
}

}  // namespace
}  // namespace dispatch::batch_test
