#include "function-manager/src/domain/attempt_spans.h"

#include <gmock/gmock.h>

#include "function-manager/src/domain/testing/dispatcher_fixture.h"

namespace dispatch::attempt_spans_test {
namespace {

using std::chrono::milliseconds;
using testing::RecordedSpans;

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";

// The context of an event, each of a trace of its own.
std::string TraceOf(int number, bool sampled = true) {
  return std::string("00-") + kTrace + "-b7ad6b716920333" + std::to_string(number) +
         (sampled ? "-01" : "-00");
}

std::string At(const Span& span, std::string_view key) {
  return RecordedSpans::Attribute(span, key);
}

class AttemptSpansTest : public testing::DispatcherFixture {
 protected:
  explicit AttemptSpansTest(schema::DeliveryMode mode = schema::DeliveryMode::kBinary)
      : DispatcherFixture(mode) {
    subscription_.retry.min_backoff = milliseconds(100);
    subscription_.sink->url = "https://host.example:8443/hook?token=secret";
  }

  void Deliver(const std::string& traceparent) {
    schema::Invocation invocation;
    invocation.source_partition = 3;
    invocation.source_offset = next_++;
    invocation.event.headers = {
        {"ce_specversion", "1.0"}, {"ce_id", "e1"}, {"ce_source", "/s"}, {"ce_type", "t"}};
    if (!traceparent.empty()) invocation.event.headers.emplace_back("traceparent", traceparent);
    Take(std::move(invocation));
    loop_.RunFor(milliseconds(30));
  }

  std::deque<Answer> answers_;  // then 204
  std::vector<SendRequest> requests_;

 private:
  void Send(SendRequest request, std::function<void(Answer)> done) override {
    requests_.push_back(std::move(request));
    Answer answer;
    answer.status = 204;
    if (!answers_.empty()) {
      answer = std::move(answers_.front());
      answers_.pop_front();
    }
    loop_.Post([answer, done = std::move(done)] { done(answer); });
  }

  int64_t next_ = 0;
};

TEST_F(AttemptSpansTest, EachAttemptIsTheParentOfWhatTheEndpointDoes) {
  Answer away;
  away.failure = "connect";
  away.message = "refused";
  Answer busy;
  busy.status = 503;
  answers_ = {away, busy};
  Deliver(TraceOf(1));
  loop_.RunFor(std::chrono::seconds(10));
  ASSERT_EQ(spans_.spans.size(), 3u);
  ASSERT_EQ(requests_.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Span& span = spans_.spans[i];
    EXPECT_EQ(requests_[i].traceparent, span.context.ToTraceparent());
    EXPECT_EQ(span.context.trace_id, kTrace);
    EXPECT_EQ(span.parent_id, "b7ad6b7169203331");
    EXPECT_EQ(span.kind, Span::Kind::kClient);
    EXPECT_EQ(span.name, "acme.billing deliver");
    EXPECT_EQ(At(span, "dispatch.attempt"), std::to_string(i + 1));
    EXPECT_EQ(At(span, "http.request.resend_count"), i == 0 ? "" : std::to_string(i));
    EXPECT_EQ(At(span, "dispatch.delivery_id"), requests_[i].webhook_id);
    EXPECT_EQ(At(span, "messaging.destination.name"), "acme.orders");
    EXPECT_EQ(At(span, "messaging.destination.partition.id"), "3");
    EXPECT_EQ(At(span, "messaging.kafka.offset"), "0");
    EXPECT_EQ(At(span, "messaging.consumer.group.name"), "acme.billing");
    EXPECT_EQ(At(span, "cloudevents.event_id"), "e1");
    EXPECT_EQ(At(span, "server.address"), "host.example");
    EXPECT_EQ(At(span, "server.port"), "8443");
    EXPECT_EQ(At(span, "url.full"), "https://host.example:8443") << "the rest may be secret";
  }
  EXPECT_EQ(At(spans_.spans[0], "error.type"), "connect");
  EXPECT_EQ(At(spans_.spans[0], "http.response.status_code"), "");
  EXPECT_EQ(spans_.spans[0].error, "connect: https://host.example:8443 (refused)");
  EXPECT_EQ(At(spans_.spans[1], "error.type"), "503");
  EXPECT_EQ(At(spans_.spans[1], "http.response.status_code"), "503");
  EXPECT_EQ(At(spans_.spans[1], "dispatch.outcome"), "retry");
  EXPECT_EQ(At(spans_.spans[2], "dispatch.outcome"), "delivered");
  EXPECT_EQ(spans_.spans[2].error, std::nullopt);
}

TEST_F(AttemptSpansTest, WithoutASampledTraceThereIsNone) {
  Deliver(TraceOf(1, false));
  Deliver("");
  Deliver("garbage");
  EXPECT_EQ(requests_.size(), 3u);
  EXPECT_TRUE(spans_.spans.empty());
  for (const auto& request : requests_) EXPECT_EQ(request.traceparent, "");
}

TEST_F(AttemptSpansTest, OfAFunctionNamesIt) {
  subscription_.sink->url = "function://hello.acme";
  Deliver(TraceOf(1));
  ASSERT_EQ(spans_.spans.size(), 1u);
  EXPECT_EQ(At(spans_.spans[0], "faas.invoked_name"), "hello");
  EXPECT_EQ(At(spans_.spans[0], "http.request.method"), "");
}

TEST_F(AttemptSpansTest, PortsFollowFromTheSchemeAndAddressesMayHaveColons) {
  for (auto [url, address, port] :
       {std::tuple("https://h/x", "h", "443"), std::tuple("http://[::1]/x", "[::1]", "80"),
        std::tuple("http://[::1]:81", "[::1]", "81")}) {
    Delivery delivery;
    delivery.event = std::make_shared<schema::EventData>(
        schema::EventData{{}, {{"traceparent", TraceOf(1)}}, {}});
    SendRequest request;
    request.event = delivery.event;
    request.sink.url = url;
    AttemptSpans spans(&tracer_);
    spans.Add(delivery, subscription_, request);
    spans.End({}, Effect::kDelivered, "");
    EXPECT_EQ(At(spans_.spans.back(), "server.address"), address);
    EXPECT_EQ(At(spans_.spans.back(), "server.port"), port);
  }
}

class AttemptSpansOfBatches : public AttemptSpansTest {
 protected:
  AttemptSpansOfBatches() : AttemptSpansTest(schema::DeliveryMode::kBatch) {}
};

TEST_F(AttemptSpansOfBatches, AreInTheTraceOfEachEvent) {
  for (int i = 1; i <= 3; ++i) {
    schema::Invocation invocation;
    invocation.source_offset = i;
    invocation.event.headers = {{"traceparent", TraceOf(i, i != 2)}};
    Take(std::move(invocation));
  }
  loop_.RunFor(std::chrono::seconds(1));
  ASSERT_EQ(requests_.size(), 1u);
  ASSERT_EQ(spans_.spans.size(), 2u);
  const Span& first = spans_.spans[0];
  const Span& third = spans_.spans[1];
  EXPECT_EQ(requests_[0].traceparent, first.context.ToTraceparent());
  EXPECT_EQ(first.parent_id, "b7ad6b7169203331");
  EXPECT_EQ(third.parent_id, "b7ad6b7169203333");
  ASSERT_EQ(third.links.size(), 1u);
  EXPECT_EQ(third.links[0].span_id, first.context.span_id);
}

}  // namespace
}  // namespace dispatch::attempt_spans_test
