#include "function-manager/src/domain/dispatcher.h"

#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::dispatcher_test {
namespace {

using std::chrono::seconds;

/// One subscription whose endpoint rejects everything.
class DeadLetters : public ::testing::Test,
                    private Dispatcher::Host,
                    private Catalog,
                    private Sender,
                    private AttemptLog {
 protected:
  DeadLetters() {
    subscription_.uuid.bytes[0] = 1;
    subscription_.org = "acme";
    subscription_.name = "billing";
    subscription_.sink = schema::Sink{"http://h/", {}, schema::DeliveryMode::kBinary};
    MakeTopic(broker::kDeadLettersTopic);
    producer_ = broker_->NewProducer({});
    Dispatcher::Host& host = *this;
    Catalog& catalog = *this;
    Sender& sender = *this;
    AttemptLog& attempts = *this;
    dispatcher_ = std::make_unique<Dispatcher>(
        loop_, host, *producer_, catalog, sender, attempts, [] { return 0.5; },
        Dispatcher::Options{});
  }

  void MakeTopic(const std::string& name) {
    broker_->admin().CreateTopic({name, 1, 1, {}}, [](const Status&) {});
    loop_.RunFor(seconds(1));
  }
  void Deliver() {
    schema::Invocation invocation;
    invocation.org = "acme";
    invocation.topic = "orders";
    invocation.targets.push_back({subscription_.uuid, 1, 0});
    invocation.event.headers = {
        {"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/s"}, {"ce_type", "t"}};
    broker::Record record;
    record.value = "bytes";
    for (auto& d : books_->TakeIn(record, invocation, 0)) dispatcher_->Take(d);
  }
  size_t Written(const std::string& topic) { return cluster_.Log({topic, 0}).size(); }
  int64_t Counted() { return books_->accounts()[subscription_.uuid].counters.dead_lettered; }

  schema::Subscription subscription_;
  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};

 private:
  Duration membership_age() const override { return Duration::zero(); }
  bool revoking(int32_t) const override { return false; }
  void DisableSubscription(const schema::Subscription&, const std::string&) override {}
  void CircuitChanged(const Uuid&) override {}
  void NoteTrial(const DeliveryPtr&, std::vector<TrialRun::Noted>,
                 std::function<void(Status)> done) override {
    done({});
  }
  Lookup Find(const Uuid&, int64_t, Duration) const override {
    return {Known::kPresent, std::make_shared<const schema::Subscription>(subscription_)};
  }
  std::optional<schema::Sink> SinkOf(const schema::Subscription& s) const override {
    return s.sink;
  }
  void Send(SendRequest, std::function<void(Answer)> done) override {
    Answer answer;
    answer.status = 400;
    loop_.After(Duration::zero(), [done = std::move(done), answer] { done(answer); });
  }
  void Record(Attempt) override {}

 protected:
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("function-manager");
  std::unique_ptr<broker::Producer> producer_;
  std::shared_ptr<InvocationPartition> books_ =
      std::make_shared<InvocationPartition>(InvokeClaim{}, OffsetTracker::Limits{});
  std::unique_ptr<Dispatcher> dispatcher_;
};

TEST_F(DeadLetters, AreCountedOnceTheyAreWritten) {
  Deliver();
  loop_.RunFor(seconds(5));
  ASSERT_EQ(Written(broker::kDeadLettersTopic), 1u);
  EXPECT_EQ(Counted(), 1);
  auto letter =
      schema::Decode<schema::DeadLetter>(*cluster_.Log({broker::kDeadLettersTopic, 0})[0].value);
  ASSERT_TRUE(letter.ok());
  EXPECT_EQ(letter->invocations_partition, 0);
  EXPECT_EQ(letter->sequence, 0);
}

TEST_F(DeadLetters, GoToTheSubscriptionsTopicToo) {
  subscription_.dead_letter_topic = "dead";
  MakeTopic("acme.dead");
  Deliver();
  loop_.RunFor(seconds(5));
  ASSERT_EQ(Written("acme.dead"), 1u);
  EXPECT_EQ(*cluster_.Log({"acme.dead", 0})[0].FindHeader("ce_deadletterreason"), "rejected");
  EXPECT_EQ(Written(broker::kDeadLettersTopic), 1u);
  EXPECT_EQ(Counted(), 1);
}

TEST_F(DeadLetters, ATopicThatIsGoneDoesNotHoldThemUp) {
  subscription_.dead_letter_topic = "gone";
  Deliver();
  loop_.RunFor(seconds(30));
  EXPECT_EQ(Written(broker::kDeadLettersTopic), 1u);
  EXPECT_EQ(Counted(), 1);
}

TEST_F(DeadLetters, AreNotTerminalBeforeBothAreWritten) {
  subscription_.dead_letter_topic = "dead";
  MakeTopic("acme.dead");
  cluster_.set_down(true);
  Deliver();
  loop_.RunFor(seconds(30));
  EXPECT_EQ(Counted(), 0);
  EXPECT_EQ(books_->position(), 0);
  cluster_.set_down(false);
  loop_.RunFor(seconds(30));
  EXPECT_EQ(Written("acme.dead"), 1u);
  EXPECT_EQ(Written(broker::kDeadLettersTopic), 1u);
  EXPECT_EQ(Counted(), 1);
  EXPECT_EQ(books_->position(), 1);
}

}  // namespace
}  // namespace dispatch::dispatcher_test
