#include "api-gateway/src/domain/publisher.h"

#include <fmt/format.h>

#include <iterator>

#include "api-gateway/src/domain/error_table.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "schema/cloudevents_scan.h"
#include "schema/event_span.h"

namespace dispatch::gateway {

namespace {

// Below so many events on their way a single one does not wait for others.
constexpr size_t kFewInFlight = 4;

struct Item {
  std::string id;
  Result<broker::Position> outcome{Code::kInternal, "no report"};
};

size_t BytesOf(const schema::EventData& data) {
  size_t bytes = data.value ? data.value->size() : 0;
  for (const auto& [name, value] : data.headers) bytes += name.size() + value.size();
  return bytes;
}

// What a producer's error means for a publisher: the request was fine, and Kafka does not have the
// event, as far as we know.
Error Explain(const Error& error) {
  switch (error.code) {
    case Code::kResourceExhausted:
      return {Code::kUnavailable, "too many events wait for Kafka: try again", true};
    case Code::kNotFound:
      return {Code::kUnavailable, "Kafka does not have the topic (yet): try again", true};
    case Code::kTooLarge:
      return error;
    default:
      // librdkafka's words name brokers and settings, which are the operator's.
      if (log::Sometimes("publish.failed", 5)) {
        log::Warning("event not confirmed reason=\"{}\"", error.message);
      }
      return {Code::kUnavailable, "Kafka did not confirm the event: try again with the same id",
              true};
  }
}

void AppendItem(const Item& item, const std::string& topic, std::string& out) {
  out += "{\"id\":";
  cloudevents::AppendJsonString(item.id, out);
  out += ",\"topic\":";
  cloudevents::AppendJsonString(topic, out);
  if (item.outcome.ok()) {
    fmt::format_to(std::back_inserter(out), ",\"partition\":{},\"offset\":{}}}",
                   item.outcome->partition, item.outcome->offset);
    return;
  }
  Error error = Explain(item.outcome.error());
  fmt::format_to(std::back_inserter(out), ",\"status\":{},\"error\":", HttpStatusOf(error.code));
  cloudevents::AppendJsonString(error.message, out);
  out += '}';
}

}  // namespace

struct Publisher::Pending {
  CallPtr call;
  std::string topic;
  broker::Producer* producer = nullptr;
  SteadyTime started{};
  size_t waiting = 0;
  std::vector<Item> items;
};

Publisher::Publisher(Loop& loop, broker::Producer& prompt, broker::Producer& bulk,
                     const Tracer* tracer)
    : loop_(loop),
      prompt_(prompt),
      bulk_(bulk),
      tracer_(tracer),
      accepted_(metrics::GetCounter("dispatch_gateway_events_accepted_total",
                                    "Events that Kafka confirmed")),
      refused_(metrics::GetCounter("dispatch_gateway_events_refused_total",
                                   "Well-formed events that Kafka did not confirm")),
      latency_(metrics::GetHistogram("dispatch_gateway_publish_seconds",
                                     "From the parsed request to the last delivery report")) {}

void Publisher::Publish(CallPtr call, const std::string& topic, Intake intake) {
  auto pending = std::make_shared<Pending>();
  std::string kafka_topic = broker::EventTopic(call->org, topic);
  std::string traceparent = call->Traceparent();
  pending->call = std::move(call);
  pending->topic = topic;
  bool few = intake.events.size() == 1 && in_flight() < kFewInFlight;
  pending->producer = few ? &prompt_ : &bulk_;
  pending->started = loop_.Steady();
  pending->items.resize(intake.events.size());
  // One more than there are, so that nothing finishes before all are queued.
  pending->waiting = intake.events.size() + 1;
  for (size_t i = 0; i < intake.events.size(); ++i) {
    Item& item = pending->items[i];
    item.id = *intake.events[i].Find("id");
    Status queued = Produce(pending, i, std::move(intake.events[i]), kafka_topic, traceparent);
    if (queued.ok()) continue;
    item.outcome = queued.error();
    --pending->waiting;
  }
  if (--pending->waiting == 0) Finish(*pending);
}

Status Publisher::Produce(const std::shared_ptr<Pending>& pending, size_t index,
                          cloudevents::Event event, const std::string& kafka_topic,
                          const std::string& traceparent) {
  SpanPtr span = Trace(traceparent, kafka_topic, event);
  schema::EventData data = cloudevents::ToKafka(std::move(event));
  if (size_t bytes = BytesOf(data); bytes > kMaxEventBytes) {
    Error error{Code::kTooLarge, fmt::format("the event has {} bytes: at most {} are possible",
                                             bytes, kMaxEventBytes)};
    EndTrace(span, error);
    return error;
  }
  data.headers.emplace_back("traceparent",
                            span == nullptr ? traceparent : span->context.ToTraceparent());
  Status queued = pending->producer->Produce(
      {kafka_topic, -1, std::move(data.key), std::move(data.value), std::move(data.headers)},
      [this, pending, index, span](Result<broker::Position> outcome) {
        EndTrace(span, outcome);
        pending->items[index].outcome = std::move(outcome);
        if (--pending->waiting == 0) Finish(*pending);
      });
  if (!queued.ok()) EndTrace(span, queued.error());
  return queued;
}

SpanPtr Publisher::Trace(const std::string& traceparent, const std::string& kafka_topic,
                         const cloudevents::Event& event) const {
  SpanPtr span = StartSpan(tracer_, Span::Kind::kProducer, traceparent);
  if (span == nullptr) return span;
  schema::DescribeOperation(kafka_topic, "publish", "send", *span);
  schema::DescribeEvent(event, *span);
  return span;
}

void Publisher::EndTrace(const SpanPtr& span, const Result<broker::Position>& outcome) const {
  if (span == nullptr) return;
  if (outcome.ok()) {
    schema::DescribePosition(outcome->partition, outcome->offset, *span);
  } else {
    schema::DescribeError(outcome.error(), *span);
  }
  tracer_->End(*span);
}

void Publisher::Finish(Pending& pending) {
  size_t failed = 0;
  for (const Item& item : pending.items) failed += item.outcome.ok() ? 0 : 1;
  accepted_.Add(static_cast<double>(pending.items.size() - failed));
  refused_.Add(static_cast<double>(failed));
  latency_.Observe(std::chrono::duration<double>(loop_.Steady() - pending.started).count());
  if (failed > 0 && failed == pending.items.size()) {
    return pending.call->Fail(Explain(pending.items[0].outcome.error()));
  }
  std::string body = "{\"results\":[";
  for (size_t i = 0; i < pending.items.size(); ++i) {
    if (i > 0) body += ',';
    AppendItem(pending.items[i], pending.topic, body);
  }
  body += "]}";
  pending.call->SendJson(failed == 0 ? 202 : 207, std::move(body));
}

}  // namespace dispatch::gateway
