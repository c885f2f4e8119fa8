#include "function-manager/src/domain/attempt_spans.h"

#include <charconv>

#include "broker-adapters/topics.h"
#include "function-manager/src/domain/function_event.h"
#include "schema/event_span.h"

namespace dispatch {

namespace {

// Without path and query, as in what people are told: they may carry what is nobody else's
// business.
void DescribeServer(std::string_view url, Span& span) {
  size_t scheme = url.find("://");
  if (scheme == url.npos) return;
  std::string_view origin = url.substr(0, url.find_first_of("/?#", scheme + 3));
  span.Set("url.full", origin);
  std::string_view host = origin.substr(scheme + 3);
  size_t colon = host.rfind(':');
  bool has_port = colon != host.npos && host.find(']', colon) == host.npos;
  int64_t port = url.starts_with("https:") ? 443 : 80;
  if (has_port) std::from_chars(host.data() + colon + 1, host.data() + host.size(), port);
  span.Set("server.address", host.substr(0, has_port ? colon : host.npos));
  span.Set("server.port", port);
}

void Describe(const Delivery& delivery, const schema::Subscription& subscription,
              const SendRequest& request, Span& span) {
  std::string group = subscription.org + "." + subscription.name;
  span.name = group + " deliver";
  span.Set("messaging.system", "kafka");
  span.Set("messaging.operation.name", "deliver");
  span.Set("messaging.operation.type", "process");
  span.Set("messaging.destination.name", broker::EventTopic(delivery.org, delivery.topic));
  span.Set("messaging.consumer.group.name", group);
  schema::DescribePosition(delivery.id.partition, delivery.id.offset, span);
  if (auto event = cloudevents::FromKafka(*delivery.event); event.ok()) {
    schema::DescribeEvent(*event, span);
  }
  span.Set("dispatch.delivery_id", delivery.id.WebhookId());
  span.Set("dispatch.attempt", int64_t{delivery.attempts} + 1);
  std::string function = FunctionOf(request.sink.url);
  if (!function.empty()) {
    span.Set("faas.invoked_name", function);
    return;
  }
  span.Set("http.request.method", "POST");
  if (delivery.attempts > 0) span.Set("http.request.resend_count", delivery.attempts);
  DescribeServer(request.sink.url, span);
}

std::string_view NameOf(Effect effect) {
  switch (effect) {
    case Effect::kDelivered:
      return "delivered";
    case Effect::kRetry:
      return "retry";
    case Effect::kReject:
      return "rejected";
    case Effect::kGone:
      return "gone";
  }
  return "";
}

}  // namespace

void AttemptSpans::Add(const Delivery& delivery, const schema::Subscription& subscription,
                       SendRequest& request) {
  SpanPtr span = StartSpan(tracer_, Span::Kind::kClient, delivery.event->headers);
  if (span == nullptr) return;
  Describe(delivery, subscription, request, *span);
  bool first = delivery.event == request.event;
  if (first) request.traceparent = span->context.ToTraceparent();
  if (!first && !spans_.empty()) span->links.push_back(spans_.front()->context);
  spans_.push_back(std::move(span));
}

void AttemptSpans::End(const Answer& answer, Effect effect, const std::string& described) const {
  for (const SpanPtr& span : spans_) {
    span->Set("dispatch.outcome", NameOf(effect));
    if (answer.status != 0) span->Set("http.response.status_code", answer.status);
    if (effect != Effect::kDelivered) {
      span->Set("error.type", answer.status != 0 ? std::to_string(answer.status) : answer.failure);
      span->error = described;
    }
    tracer_->End(*span);
  }
}

}  // namespace dispatch
