#include "common/otlp/span_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::otlp::span_queue_test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kParent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// The names of the spans of a request.
std::vector<std::string> NamesIn(const std::string& body) {
  std::vector<std::string> names;
  auto request = json::Parse(body);
  EXPECT_TRUE(request.ok()) << request.message();
  const auto& spans = request->at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans");
  for (const auto& span : spans.as_array()) {
    names.push_back(json::GetString(span.as_object(), "name"));
  }
  return names;
}

class SpanQueueTest : public ::testing::Test {
 protected:
  SpanQueueTest() {
    options_.interval = 2s;
    options_.batch_spans = 3;
    options_.most_spans = 5;
    for (const char* reason : {"queue-full", "refused", "rejected", "expired", "stopped"}) {
      before_[reason] = Counter(reason).Value();
    }
    before_exported_ = exported_.Value();
  }

  void Add(const std::vector<std::string>& names) {
    for (const auto& name : names) {
      auto span = tracer().Start(Span::Kind::kInternal, kParent);
      span->name = name;
      tracer().End(*span);
    }
  }
  void AnswerWith(SpanQueue::Answer answer) {
    ASSERT_FALSE(open_.empty());
    auto done = std::move(open_.front());
    open_.pop_front();
    done(std::move(answer));
  }
  std::vector<std::string> Sent(size_t request) { return NamesIn(requests_.at(request)); }
  double Dropped(const char* reason) { return Counter(reason).Value() - before_[reason]; }
  double Exported() { return exported_.Value() - before_exported_; }

  Tracer& tracer() {
    if (queue_ == nullptr) {
      queue_ = std::make_unique<SpanQueue>(
          loop_, EnvelopeOf({}, "1"),
          [this](std::string body, auto done) {
            requests_.push_back(std::move(body));
            open_.push_back(std::move(done));
          },
          [] { return 1.0; }, options_);
      tracer_ = std::make_unique<Tracer>(loop_, *queue_);
    }
    return *tracer_;
  }
  static metrics::Counter Counter(const char* reason) {
    return metrics::GetCounter("dispatch_spans_dropped_total", "", {{"reason", reason}});
  }

  dispatch::testing::SimulatedLoop loop_;
  SpanQueue::Options options_;
  std::vector<std::string> requests_;
  std::deque<std::function<void(SpanQueue::Answer)>> open_;
  std::unique_ptr<SpanQueue> queue_;
  std::unique_ptr<Tracer> tracer_;
  std::map<std::string, double> before_;
  metrics::Counter exported_ = metrics::GetCounter("dispatch_spans_exported_total", "");
  double before_exported_ = 0;
};

TEST_F(SpanQueueTest, SendsWhatCameWithinTheInterval) {
  Add({"a"});
  loop_.RunFor(1s);
  Add({"b"});
  EXPECT_THAT(requests_, IsEmpty());
  loop_.RunFor(1s);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_THAT(Sent(0), ElementsAre("a", "b"));
  AnswerWith({.status = 200, .body = "{}"});
  EXPECT_EQ(Exported(), 2);
  loop_.RunFor(1min);
  EXPECT_EQ(requests_.size(), 1u);
  EXPECT_EQ(loop_.pending(), 0u) << "no timer runs when nothing waits";
}

TEST_F(SpanQueueTest, AFullBatchGoesAtOnceAndOneRequestIsOpenAtATime) {
  Add({"a", "b", "c", "d", "e"});
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_THAT(Sent(0), ElementsAre("a", "b", "c"));
  loop_.RunFor(1min);
  EXPECT_EQ(requests_.size(), 1u) << "the first has no answer yet";
  AnswerWith({.status = 200});
  loop_.RunFor(2s);
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_THAT(Sent(1), ElementsAre("d", "e"));
}

TEST_F(SpanQueueTest, ABatchIsBoundedInBytes) {
  options_.batch_spans = 1'000;
  options_.most_spans = 1'000;
  options_.batch_bytes = 5'000;
  Add(std::vector<std::string>(20, std::string(1'000, 'x')));
  while (!open_.empty()) {
    EXPECT_LT(requests_.back().size(), 5'200u);
    AnswerWith({.status = 200});
    loop_.RunFor(2s);
  }
  EXPECT_EQ(Exported(), 20);
  EXPECT_GE(requests_.size(), 5u);
}

TEST_F(SpanQueueTest, DropsAndCountsWhatComesToAFullQueue) {
  Add({"a", "b", "c", "d", "e", "f", "g"});
  EXPECT_EQ(queue_->size(), 5u);
  EXPECT_EQ(Dropped("queue-full"), 2);
  AnswerWith({.status = 200});
  Add({"h"});
  loop_.RunFor(2s);
  EXPECT_THAT(Sent(1), ElementsAre("d", "e", "h"));
}

TEST_F(SpanQueueTest, TheQueueIsBoundedInBytes) {
  options_.most_spans = 1'000;
  options_.batch_spans = 1'000;
  options_.most_bytes = 10'000;
  Add(std::vector<std::string>(100, std::string(1'000, 'x')));
  EXPECT_LE(queue_->size(), 10u);
  EXPECT_EQ(Dropped("queue-full") + static_cast<double>(queue_->size()), 100);
}

TEST_F(SpanQueueTest, RepeatsTheSameRequestWithGrowingWaits) {
  for (int status : {429, 502, 503, 504, 0}) {
    requests_.clear();
    queue_.reset();
    Add({"a"});
    loop_.RunFor(2s);
    AnswerWith({.status = status});
    loop_.RunFor(999ms);
    EXPECT_EQ(requests_.size(), 1u) << status;
    loop_.RunFor(1ms);
    ASSERT_EQ(requests_.size(), 2u) << status;
    AnswerWith({.status = status});
    loop_.RunFor(1'999ms);
    EXPECT_EQ(requests_.size(), 2u) << status;
    loop_.RunFor(1ms);
    ASSERT_EQ(requests_.size(), 3u) << status;
    EXPECT_EQ(requests_[2], requests_[0]);
    AnswerWith({.status = 200});
  }
  EXPECT_EQ(Exported(), 5);
}

TEST_F(SpanQueueTest, WaitsAsLongAsItIsTold) {
  Add({"a"});
  loop_.RunFor(2s);
  AnswerWith({.status = 503, .retry_after = 45s});
  Add({"b", "c", "d"});  // a batch's worth changes nothing
  loop_.RunFor(44s);
  EXPECT_EQ(requests_.size(), 1u);
  loop_.RunFor(1s);
  EXPECT_EQ(requests_.size(), 2u);
}

TEST_F(SpanQueueTest, GivesABatchUpAndGoesOnWithTheNext) {
  options_.give_up = 10s;
  Add({"a", "b", "c", "d"});
  for (Duration wait : {1s, 2s, 4s, 8s}) {  // the last would be too late
    AnswerWith({.failure = "connection refused"});
    loop_.RunFor(wait);
  }
  EXPECT_EQ(Dropped("expired"), 3);
  ASSERT_EQ(requests_.size(), 5u);
  EXPECT_THAT(Sent(4), ElementsAre("d"));
  AnswerWith({.status = 200});
  EXPECT_EQ(Exported(), 1);
}

TEST_F(SpanQueueTest, WhatIsRefusedIsNotRepeated) {
  for (int status : {400, 401, 404, 413, 500, 307}) {
    Add({"a", "b", "c"});
    AnswerWith({.status = status});
    loop_.RunFor(1min);
  }
  EXPECT_EQ(requests_.size(), 6u);
  EXPECT_EQ(Dropped("refused"), 18);
  EXPECT_EQ(Exported(), 0);
}

TEST_F(SpanQueueTest, WhatIsRejectedOfARequestIsNotRepeated) {
  Add({"a", "b", "c"});
  AnswerWith({.status = 200, .body = R"({"partialSuccess":{"rejectedSpans":"2"}})"});
  Add({"d", "e", "f"});
  AnswerWith({.status = 200, .body = R"({"partialSuccess":{"rejectedSpans":"99"}})"});
  loop_.RunFor(1min);
  EXPECT_EQ(requests_.size(), 2u);
  EXPECT_EQ(Dropped("rejected"), 5);
  EXPECT_EQ(Exported(), 1);
}

TEST_F(SpanQueueTest, FlushSendsAllAtOnce) {
  Add({"a", "b", "c", "d", "e"});
  bool flushed = false;
  queue_->Flush(loop_.Steady() + 20s, [&] { flushed = true; });
  AnswerWith({.status = 200});
  EXPECT_THAT(Sent(1), ElementsAre("d", "e"));
  loop_.RunReady();
  EXPECT_FALSE(flushed);
  AnswerWith({.status = 200});
  loop_.RunReady();
  EXPECT_TRUE(flushed);
  EXPECT_EQ(Exported(), 5);
  Add({"late"});
  EXPECT_EQ(Dropped("stopped"), 1);
  EXPECT_EQ(loop_.pending(), 0u);
}

TEST_F(SpanQueueTest, FlushDoesNotWaitForACollectorThatIsAway) {
  Add({"a", "b", "c", "d", "e"});
  AnswerWith({.failure = "connection refused"});
  bool flushed = false;
  queue_->Flush(loop_.Steady() + 20s, [&] { flushed = true; });
  ASSERT_EQ(requests_.size(), 2u) << "it tries once more, at once";
  AnswerWith({.failure = "connection refused"});
  loop_.RunReady();
  EXPECT_TRUE(flushed);
  EXPECT_EQ(Dropped("stopped"), 5);
}

TEST_F(SpanQueueTest, FlushEndsWithItsTimeAndAtOnceWithNothing) {
  Add({"a", "b", "c", "d"});
  bool flushed = false;
  queue_->Flush(loop_.Steady() + 1s, [&] { flushed = true; });
  loop_.RunFor(999ms);
  EXPECT_FALSE(flushed);
  loop_.RunFor(1ms);
  EXPECT_TRUE(flushed);
  EXPECT_EQ(Dropped("stopped"), 4);
  AnswerWith({.status = 200});  // too late
  EXPECT_EQ(Exported(), 0);

  queue_.reset();
  tracer();
  flushed = false;
  queue_->Flush(loop_.Steady(), [&] { flushed = true; });
  loop_.RunReady();
  EXPECT_TRUE(flushed);
}

TEST_F(SpanQueueTest, OnlyWhatIsSampledBecomesASpan) {
  EXPECT_EQ(tracer().Start(Span::Kind::kServer, ""), nullptr);
  EXPECT_EQ(tracer().Start(Span::Kind::kServer, "00-x"), nullptr);
  EXPECT_EQ(tracer().Start(Span::Kind::kServer,
                           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            nullptr);
  EXPECT_EQ(tracer().StartRoot(Span::Kind::kServer, TraceContext::NewRoot(0)), nullptr);
  EXPECT_EQ(StartSpan(nullptr, Span::Kind::kServer, kParent), nullptr);
  EndSpan(nullptr, nullptr);
  auto root = tracer().StartRoot(Span::Kind::kServer, TraceContext::NewRoot(1));
  ASSERT_NE(root, nullptr);
  EXPECT_EQ(root->parent_id, "");
  auto child = tracer().Start(Span::Kind::kInternal, root->context.ToTraceparent());
  EXPECT_EQ(child->parent_id, root->context.span_id);
  EXPECT_EQ(child->context.trace_id, root->context.trace_id);
  EXPECT_NE(child->context.span_id, root->context.span_id);
}

}  // namespace
}  // namespace dispatch::otlp::span_queue_test
