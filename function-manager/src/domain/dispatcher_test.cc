#include "function-manager/src/domain/testing/dispatcher_fixture.h"

namespace dispatch::dispatcher_test {
namespace {

using std::chrono::seconds;

/// One subscription whose endpoint rejects everything.
class DeadLetters : public testing::DispatcherFixture {
 protected:
  DeadLetters() : DispatcherFixture(schema::DeliveryMode::kBinary) {}

  void Deliver() {
    schema::Invocation invocation;
    invocation.event.headers = {
        {"ce_specversion", "1.0"}, {"ce_id", "1"}, {"ce_source", "/s"}, {"ce_type", "t"}};
    Take(std::move(invocation));
  }
  size_t Written(const std::string& topic) { return cluster_.Log({topic, 0}).size(); }
  int64_t Counted() { return Counters().dead_lettered; }

 private:
  void Send(SendRequest, std::function<void(Answer)> done) override {
    Answer answer;
    answer.status = 400;
    loop_.After(Duration::zero(), [done = std::move(done), answer] { done(answer); });
  }
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

TEST_F(DeadLetters, OfAReplaySayWhoseItIs) {
  subscription_.replay_of.bytes[0] = 9;
  Deliver();
  loop_.RunFor(seconds(5));
  ASSERT_EQ(Written(broker::kDeadLettersTopic), 1u);
  auto letter =
      schema::Decode<schema::DeadLetter>(*cluster_.Log({broker::kDeadLettersTopic, 0})[0].value);
  ASSERT_TRUE(letter.ok());
  EXPECT_EQ(letter->id.subscription, subscription_.uuid);
  EXPECT_EQ(letter->replay_of, subscription_.replay_of);
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
