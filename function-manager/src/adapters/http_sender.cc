#include "function-manager/src/adapters/http_sender.h"

#include "common/trace.h"
#include "schema/cloudevents.h"

namespace dispatch {

namespace {

constexpr size_t kMaxAnswerBytes = 64 * 1024;

http::ClientRequest ToHttp(SendRequest& request, const cloudevents::Event& event, int64_t now_s) {
  http::ClientRequest out;
  out.url = request.sink.url;
  out.timeout = request.timeout;
  out.max_response_bytes = kMaxAnswerBytes;
  if (request.sink.mode == schema::DeliveryMode::kStructured) {
    out.headers.Add("content-type", "application/cloudevents+json; charset=UTF-8");
    out.body = cloudevents::ToJson(event);
  } else {
    for (auto& [name, value] : cloudevents::ToHttpHeaders(event)) {
      out.headers.Add(std::move(name), std::move(value));
    }
    if (event.data) out.body = *event.data;
  }
  for (const auto& [name, value] : request.sink.headers) out.headers.Set(name, value);
  out.headers.Set("webhook-id", request.webhook_id);
  out.headers.Set("webhook-timestamp", std::to_string(now_s));
  out.headers.Set("dispatch-attempt", std::to_string(request.attempt));
  for (const auto& [name, value] : request.event->headers) {
    if (name != "traceparent") continue;
    if (auto trace = TraceContext::Parse(value)) {
      out.headers.Set("traceparent", trace->Child().ToTraceparent());
    }
  }
  return out;
}

Answer ToAnswer(http::Client::Outcome outcome, int64_t now_s) {
  Answer answer;
  answer.elapsed = outcome.elapsed;
  if (outcome.failure != http::FailureKind::kNone) {
    answer.failure = http::FailureKindName(outcome.failure);
    answer.message = std::move(outcome.message);
    return answer;
  }
  answer.status = outcome.response.status;
  answer.head = outcome.response.body.substr(0, 256);
  if (auto retry_after = outcome.response.headers.Get("retry-after")) {
    answer.retry_after = ParseRetryAfter(*retry_after, now_s);
  }
  return answer;
}

}  // namespace

HttpSender::HttpSender(EventLoop& loop, http::ClientOptions options)
    : loop_(loop), client_(loop, std::move(options)) {}

void HttpSender::Send(SendRequest request, std::function<void(Answer)> done) {
  int64_t now_s = ToMillis(loop_.Now()) / 1000;
  auto event = cloudevents::FromKafka(*request.event);
  if (!event.ok()) {
    // event-manager dead-letters what is no CloudEvent, so this one changed its mind: an answer of
    // its own kind, which is not tried again.
    Answer answer;
    answer.status = 422;
    answer.message = event.error().message;
    loop_.Post([done = std::move(done), answer] { done(answer); });
    return;
  }
  client_.Send(ToHttp(request, *event, now_s),
               [now_s, done = std::move(done)](http::Client::Outcome outcome) {
                 done(ToAnswer(std::move(outcome), now_s));
               });
}

}  // namespace dispatch
