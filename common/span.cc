#include "common/span.h"

namespace dispatch {

SpanPtr Tracer::Start(Span::Kind kind, std::string_view traceparent) const {
  if (!IsSampled(traceparent)) return nullptr;
  auto parent = TraceContext::Parse(traceparent);
  return Begin(kind, parent->Child(), std::move(parent->span_id));
}

SpanPtr Tracer::StartRoot(Span::Kind kind, TraceContext context) const {
  if (!context.sampled) return nullptr;
  return Begin(kind, std::move(context), {});
}

SpanPtr Tracer::Begin(Span::Kind kind, TraceContext context, std::string parent_id) const {
  auto span = std::make_shared<Span>();
  span->context = std::move(context);
  span->parent_id = std::move(parent_id);
  span->kind = kind;
  span->begun = clock_.Now();
  span->begun_steady = clock_.Steady();
  return span;
}

void Tracer::End(Span& span) const {
  // Wall time may have been set back meanwhile.
  span.ended = span.begun + (clock_.Steady() - span.begun_steady);
  sink_.Take(span);
}

}  // namespace dispatch
