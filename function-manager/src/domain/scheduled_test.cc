#include "function-manager/src/domain/testing/dispatcher_fixture.h"

namespace dispatch::scheduled_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One subscription, ordered by key, whose endpoint takes everything, and events that are to be
/// delivered later.
class Scheduled : public testing::DispatcherFixture {
 protected:
  Scheduled() : DispatcherFixture(schema::DeliveryMode::kBinary) {
    subscription_.ordering = schema::Ordering::kKey;
  }

  int64_t now_ms() const { return ToMillis(loop_.Now()); }
  void Deliver(milliseconds delay, const std::string& key = "k") {
    schema::Invocation invocation;
    invocation.source_offset = ++offset_;
    invocation.source_timestamp_ms = now_ms();
    if (delay.count() > 0) invocation.deliver_at_ms = now_ms() + delay.count();
    invocation.event.headers = {{"ce_partitionkey", key}, {"n", std::to_string(offset_)}};
    Take(std::move(invocation));
  }
  InvocationPartition::Pending Pending() {
    books_->Advance(now_ms());
    return books_->CountPending()[subscription_.uuid];
  }
  RetryRow OnlyRow() {
    auto save = books_->Snapshot();
    books_->Saved();
    EXPECT_EQ(save.upserts.size(), 1u);
    return save.upserts.empty() ? RetryRow{} : save.upserts[0];
  }

  std::vector<std::string> sent_;
  int status_ = 200;

 private:
  void Send(SendRequest request, std::function<void(Answer)> done) override {
    sent_.push_back(request.event->headers[1].second);
    Answer answer;
    answer.status = status_;
    loop_.After(Duration::zero(), [done = std::move(done), answer] { done(answer); });
  }

  int64_t offset_ = -1;
};

TEST_F(Scheduled, WaitsInTheRetryStoreAndSpendsNoAttempt) {
  Deliver(seconds(60));
  EXPECT_EQ(books_->position(), 1) << "terminal for its record";
  EXPECT_EQ(Pending().scheduled, 1);
  RetryRow row = OnlyRow();
  EXPECT_EQ(row.due_ms, now_ms() + 60'000);
  EXPECT_EQ(row.deliver_at_ms, row.due_ms);
  EXPECT_EQ(row.attempts, 0);
  EXPECT_FALSE(row.key) << "it has no place in the order of its key";
  loop_.RunFor(milliseconds(59'500));
  books_->BeginLoad();
  dispatcher_->TakeRow(books_->TakeRow(row), milliseconds(row.due_ms - now_ms()));
  EXPECT_TRUE(sent_.empty());
  loop_.RunFor(milliseconds(499));
  EXPECT_TRUE(sent_.empty()) << "not a moment before";
  loop_.RunFor(milliseconds(2));
  EXPECT_EQ(sent_.size(), 1u);
  EXPECT_EQ(Pending().total(), 0);
}

TEST_F(Scheduled, AShortDelayIsWaitedForInMemory) {
  Deliver(seconds(2));
  EXPECT_EQ(Pending().scheduled, 1);
  EXPECT_EQ(Pending().oldest_ms, 0);
  EXPECT_EQ(books_->rows(), 0);
  loop_.RunFor(milliseconds(1'999));
  EXPECT_TRUE(sent_.empty());
  loop_.RunFor(milliseconds(2));
  EXPECT_EQ(sent_.size(), 1u);
  EXPECT_EQ(books_->position(), 1);
}

TEST_F(Scheduled, LaterEventsOfItsKeyPassIt) {
  Deliver(seconds(2));
  Deliver(seconds(0));
  loop_.RunFor(seconds(1));
  EXPECT_EQ(sent_, std::vector<std::string>{"1"});
  loop_.RunFor(seconds(2));
  EXPECT_EQ(sent_, (std::vector<std::string>{"1", "0"}));
}

TEST_F(Scheduled, AFailureAfterItsTimeIsARetryLikeAnyOther) {
  status_ = 503;
  subscription_.retry.min_backoff = seconds(30);
  subscription_.retry.jitter = 0;
  Deliver(seconds(2));
  loop_.RunFor(seconds(3));
  ASSERT_EQ(sent_.size(), 1u);
  RetryRow row = OnlyRow();
  EXPECT_EQ(row.attempts, 1);
  EXPECT_GT(row.due_ms, row.deliver_at_ms);
  auto pending = Pending();
  EXPECT_EQ(pending.retrying, 1);
  EXPECT_EQ(pending.scheduled, 0);
  EXPECT_EQ(pending.oldest_ms, row.deliver_at_ms);
}

TEST_F(Scheduled, ATimeThatHasPassedIsNow) {
  schema::Invocation invocation;
  invocation.source_timestamp_ms = now_ms() - 100'000;
  invocation.deliver_at_ms = now_ms() - 10'000;
  invocation.event.headers = {{"ce_partitionkey", "k"}, {"n", "0"}};
  Take(std::move(invocation));
  loop_.RunReady();
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(Scheduled, WhatDoesNotFitIntoTheStoreWaitsInMemoryAndIsNotLost) {
  Dispatcher::Options options;
  for (size_t i = 0; i <= options.max_unsaved_rows; ++i) Deliver(seconds(60));
  EXPECT_EQ(books_->unsaved_rows(), options.max_unsaved_rows);
  EXPECT_EQ(Pending().scheduled, static_cast<int64_t>(options.max_unsaved_rows) + 1);
  loop_.RunFor(seconds(61));
  EXPECT_EQ(sent_.size(), 1u);
}

}  // namespace
}  // namespace dispatch::scheduled_test
