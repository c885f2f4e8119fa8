#include "event-manager/src/domain/match_span.h"

#include "schema/event_span.h"

namespace dispatch {

SpanPtr StartMatchSpan(const Tracer* tracer, const broker::Record& record, const Uuid& stream) {
  SpanPtr span = StartSpan(tracer, Span::Kind::kConsumer, record.headers);
  if (span == nullptr) return span;
  schema::DescribeOperation(record.topic, "process", "process", *span);
  schema::DescribePosition(record.partition, record.offset, *span);
  if (!stream.is_nil()) span->Set("dispatch.stream", stream.ToString());
  return span;
}

}  // namespace dispatch
