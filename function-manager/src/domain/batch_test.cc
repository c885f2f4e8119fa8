// `sink.mode` batch: which deliveries share a request, and what its answer means for each.
#include <gmock/gmock.h>

#include "function-manager/src/domain/testing/dispatcher_fixture.h"

namespace dispatch::batch_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

/// An endpoint that answers when the test says so.
class Batches : public testing::DispatcherFixture {
 protected:
  Batches() : DispatcherFixture(schema::DeliveryMode::kBatch) {
    subscription_.retry.min_backoff = milliseconds(100);
  }

  // So many more events, of that many bytes.
  void Deliver(int64_t count, size_t bytes = 10) {
    for (int64_t i = 0; i < count; ++i, ++next_) {
      schema::Invocation invocation;
      invocation.source_offset = next_;
      invocation.event.headers = {{"ce_id", std::to_string(next_)}};
      invocation.event.value = std::string(bytes, 'x');
      Take(std::move(invocation));
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

  std::vector<SendRequest> requests_;
  std::vector<std::function<void(dispatch::Answer)>> answers_;

 private:
  void Send(SendRequest request, std::function<void(dispatch::Answer)> done) override {
    requests_.push_back(std::move(request));
    answers_.push_back(std::move(done));
  }

  int64_t next_ = 0;
};

TEST_F(Batches, AreFullOrWaitAMoment) {
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
  Deliver(5, 400'000);
  loop_.RunFor(milliseconds(25));
  EXPECT_THAT(Sizes(), ElementsAre(2, 2, 1));
}

TEST_F(Batches, TakeOnePlaceEach) {
  subscription_.max_in_flight = 1;
  Deliver(150);
  loop_.RunFor(milliseconds(25));
  EXPECT_THAT(Sizes(), ElementsAre(100));
  EXPECT_EQ(dispatcher_->in_flight(), 1u);
  EXPECT_EQ(dispatcher_->in_flight(*books_), 100u);
  Answer(0, 204);
  EXPECT_THAT(Sizes(), ElementsAre(100, 50));
}

TEST_F(Batches, WhatFailedIsTriedAgainEachByItself) {
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
  Deliver(3);
  EXPECT_THAT(Sizes(), ElementsAre(1, 1, 1));
}

}  // namespace
}  // namespace dispatch::batch_test
