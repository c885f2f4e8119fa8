#include "function-manager/src/adapters/http_sender.h"

#include <algorithm>

#include "broker-adapters/topics.h"
#include "common/http/retry_after.h"
#include "common/metrics.h"
#include "common/trace.h"
#include "function-manager/src/domain/reply_event.h"
#include "schema/cloudevents.h"

namespace dispatch {

namespace {

constexpr size_t kMaxAnswerBytes = 64 * 1024;
constexpr size_t kHeadBytes = 1024;

// The beginning of an answer for people; nothing of what is no text.
std::string HeadOf(const std::string& body) {
  size_t size = std::min(body.size(), kHeadBytes);
  // Not in the middle of a character.
  while (size < body.size() && size > 0 &&
         (static_cast<unsigned char>(body[size]) & 0xC0) == 0x80) {
    --size;
  }
  std::string head = body.substr(0, size);
  bool text = std::all_of(head.begin(), head.end(), [](unsigned char c) {
    return c >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
  return text ? head : std::string();
}

// An id that nobody exports would cut the trace in two.
std::string TraceOf(const SendRequest& request) {
  if (!request.traceparent.empty()) return request.traceparent;
  return std::string(FindTraceparent(request.event->headers));
}

http::HttpVersion VersionOf(schema::SinkHttp http) {
  switch (http) {
    case schema::SinkHttp::kHttp11:
      return http::HttpVersion::kHttp11;
    case schema::SinkHttp::kHttp2:
      return http::HttpVersion::kHttp2;
    case schema::SinkHttp::kAny:
      break;
  }
  return http::HttpVersion::kAny;
}

// A batch (CloudEvents HTTP binding, section 3.3; JSON format, section 4). Empty when one is no
// event: by itself it gets its own answer.
std::string BatchOf(const SendRequest& request, const cloudevents::Event& first) {
  std::string body = "[" + cloudevents::ToJson(first);
  for (const auto& another : request.more) {
    auto event = cloudevents::FromKafka(*another.event);
    if (!event.ok()) return {};
    body += ',';
    body += cloudevents::ToJson(*event);
  }
  return body + ']';
}

// Takes the event's data.
http::ClientRequest ToHttp(const SendRequest& request, cloudevents::Event& event, int64_t now_s) {
  http::ClientRequest out;
  out.url = request.sink.url;
  out.timeout = request.timeout;
  out.version = VersionOf(request.sink.http);
  out.headers.Reserve(event.attributes.size() + request.sink.headers.size() + 8);
  bool replies = !request.sink.reply_topic.empty();
  out.max_response_bytes = replies ? kMaxReplyAnswerBytes : kMaxAnswerBytes;
  if (request.sink.mode == schema::DeliveryMode::kStructured) {
    out.headers.Add("content-type", "application/cloudevents+json; charset=UTF-8");
    out.body = cloudevents::ToJson(event);
  } else if (request.sink.mode == schema::DeliveryMode::kBatch) {
    out.headers.Add("content-type", "application/cloudevents-batch+json; charset=UTF-8");
    out.body = BatchOf(request, event);
  } else {
    for (auto& [name, value] : cloudevents::ToHttpHeaders(event)) {
      out.headers.Add(std::move(name), std::move(value));
    }
    if (event.data) out.body = std::move(*event.data);
  }
  for (const auto& [name, value] : request.sink.headers) out.headers.Set(name, value);
  out.headers.Set("webhook-id", request.webhook_id);
  if (request.sink.mode == schema::DeliveryMode::kBatch) {
    std::string deliveries = request.webhook_id;
    for (const auto& another : request.more) deliveries += "," + another.webhook_id;
    out.headers.Set("dispatch-deliveries", std::move(deliveries));
  }
  out.headers.Set("webhook-timestamp", std::to_string(now_s));
  out.headers.Set("dispatch-attempt", std::to_string(request.attempt));
  if (auto trace = TraceOf(request); !trace.empty()) out.headers.Set("traceparent", trace);
  return out;
}

// What kept the reply from its topic, in place of the endpoint's answer.
Answer NoReply(Answer answer, const char* failure, const Error& error) {
  static const auto counter = metrics::GetCounter(
      "dispatch_reply_failures_total", "Events in answers that were not written to a reply topic");
  counter.Add();
  answer.status = 0;
  answer.failure = failure;
  answer.message = error.message;
  answer.hopeless = error.code == Code::kConflict;  // a loop
  return answer;
}

broker::ProduceRecord RecordOf(const SendRequest& request, cloudevents::Event reply) {
  schema::EventData data = cloudevents::ToKafka(std::move(reply));
  broker::ProduceRecord record;
  record.topic = broker::EventTopic(request.org, request.sink.reply_topic);
  record.key = std::move(data.key);
  record.headers = std::move(data.headers);
  record.value = std::move(data.value);
  if (auto trace = TraceOf(request); !trace.empty()) {
    record.headers.emplace_back("traceparent", trace);
  }
  return record;
}

Answer ToAnswer(const http::Client::Outcome& outcome, int64_t now_s) {
  Answer answer;
  answer.elapsed = outcome.elapsed;
  if (outcome.failure != http::FailureKind::kNone) {
    answer.failure = http::FailureKindName(outcome.failure);
    answer.message = outcome.message;
    return answer;
  }
  answer.status = outcome.response.status;
  answer.head = HeadOf(outcome.response.body);
  if (auto retry_after = outcome.response.headers.Get("retry-after")) {
    answer.retry_after = http::ParseRetryAfter(*retry_after, now_s);
  }
  return answer;
}

}  // namespace

HttpSender::HttpSender(EventLoop& loop, http::ClientOptions options, SecretVault& secrets,
                       broker::Producer& replies)
    : loop_(loop), secrets_(secrets), replies_(replies), client_(loop, std::move(options)) {}

void HttpSender::Send(SendRequest request, Done done) {
  const schema::Sink& sink = request.sink;
  if (sink.auth_secret.empty() && sink.signing_secret.empty()) {
    return SendWith(request, nullptr, nullptr, std::move(done));
  }
  // A secret that is missing may come: the delivery is tried again.
  auto missing = [this](const Error& error, Done answer_to) {
    Answer answer;
    answer.failure = "no-secret";
    answer.message = error.message;
    Refuse(std::move(answer), std::move(answer_to));
  };
  auto get = [this](const std::string& org, const std::string& name,
                    std::function<void(Result<SecretVault::ValuesPtr>)> then) {
    if (name.empty()) return then(SecretVault::ValuesPtr());
    secrets_.Get(org, name, std::move(then));
  };
  get(request.org, sink.auth_secret,
      [this, get, missing, request, done = std::move(done)](auto auth) mutable {
        if (!auth.ok()) return missing(auth.error(), std::move(done));
        get(request.org, request.sink.signing_secret,
            [this, missing, request, auth = *auth, done = std::move(done)](auto signing) mutable {
              if (!signing.ok()) return missing(signing.error(), std::move(done));
              SendWith(request, auth, *signing, std::move(done));
            });
      });
}

void HttpSender::SendWith(const SendRequest& request, const SecretVault::ValuesPtr& auth,
                          const SecretVault::ValuesPtr& signing, Done done) {
  int64_t now_s = ToMillis(loop_.Now()) / 1000;
  Answer refusal;
  auto event = cloudevents::FromKafka(*request.event);
  if (!event.ok()) {
    // event-manager dead-letters what is no CloudEvent, so this one changed its mind: an answer of
    // its own kind, which is not tried again.
    refusal.status = 422;
    refusal.message = event.error().message;
    return Refuse(std::move(refusal), std::move(done));
  }
  http::ClientRequest out = ToHttp(request, *event, now_s);
  if (out.body.empty() && !request.more.empty()) {
    refusal.failure = "bad-batch";
    refusal.message = "an event of the batch is no CloudEvent: each is tried by itself";
    return Refuse(std::move(refusal), std::move(done));
  }
  if (auth != nullptr) {
    auto field = AuthorizationOf(*auth);
    if (!field.ok()) {
      refusal.failure = "bad-secret";
      refusal.message = "secret '" + request.sink.auth_secret + "' " + field.message();
      return Refuse(std::move(refusal), std::move(done));
    }
    out.headers.Set("authorization", *field);
  }
  if (signing != nullptr) {
    out.headers.Set("webhook-signature",
                    SignatureOf(*signing, request.webhook_id, now_s, out.body));
  }
  if (request.sink.reply_topic.empty()) {
    return client_.Send(std::move(out),
                        [now_s, done = std::move(done)](const http::Client::Outcome& outcome) {
                          done(ToAnswer(outcome, now_s));
                        });
  }
  client_.Send(std::move(out), [this, now_s, request, event = std::move(*event),
                                done = std::move(done)](http::Client::Outcome outcome) {
    OnOutcome(request, event, now_s, std::move(outcome), done);
  });
}

void HttpSender::OnOutcome(const SendRequest& request, const cloudevents::Event& event,
                           int64_t sent_s, http::Client::Outcome outcome, const Done& done) {
  static const auto published = metrics::GetCounter(
      "dispatch_replies_total", "Events in answers that were written to a reply topic");
  Answer answer = ToAnswer(outcome, sent_s);
  if (EffectOf(answer) != Effect::kDelivered) return done(std::move(answer));
  schema::HeaderList fields(outcome.response.headers.begin(), outcome.response.headers.end());
  Result<std::optional<cloudevents::Event>> reply =
      outcome.response.truncated
          ? Error{Code::kTooLarge, "the answer is longer than a reply may be"}
          : ReplyIn(fields, std::move(outcome.response.body), event, request.webhook_id);
  if (!reply.ok()) return done(NoReply(std::move(answer), "bad-reply", reply.error()));
  if (!reply->has_value()) return done(std::move(answer));
  auto written = [alive = std::weak_ptr(alive_), answer, done](Status status) {
    if (alive.expired()) return;
    if (!status.ok()) return done(NoReply(answer, "reply", status.error()));
    published.Add();
    done(answer);
  };
  Status queued =
      replies_.Produce(RecordOf(request, std::move(**reply)),
                       [written](const Result<broker::Position>& at) { written(at.status()); });
  if (!queued.ok()) written(queued);
}

void HttpSender::Refuse(Answer answer, Done done) {
  loop_.Post([done = std::move(done), answer = std::move(answer)] { done(answer); });
}

}  // namespace dispatch
