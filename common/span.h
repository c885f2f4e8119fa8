#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/trace.h"

namespace dispatch {

/// One operation within a trace, by OpenTelemetry's data model.
struct Span {
  /// The numbers are OTLP's.
  enum class Kind { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };
  using Value = std::variant<int64_t, std::string>;

  TraceContext context;   // its own
  std::string parent_id;  // of a span in the same trace; empty: the trace begins here
  Kind kind = Kind::kInternal;
  std::string name;
  WallTime begun{};
  WallTime ended{};
  SteadyTime begun_steady{};
  std::vector<std::pair<std::string_view, Value>> attributes;
  std::vector<TraceContext> links;   // to spans of other traces
  std::optional<std::string> error;  // what failed, for people

  /// `key` is a literal, or outlives the span.
  void Set(std::string_view key, std::string_view value) {
    attributes.emplace_back(key, std::string(value));
  }
  void Set(std::string_view key, int64_t value) { attributes.emplace_back(key, value); }
};

/// Null: the operation is not to be exported.
using SpanPtr = std::shared_ptr<Span>;

/// Begins and ends the spans of a service. Who has none (null) exports no traces, and StartSpan and
/// EndSpan do nothing then. One owner.
class Tracer {
 public:
  /// Takes what has ended.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void Take(const Span& span) = 0;
  };

  Tracer(const Clock& clock, Sink& sink) : clock_(clock), sink_(sink) {}

  /// A child of the span that `traceparent` names; null when that is not sampled, or no context.
  SpanPtr Start(Span::Kind kind, std::string_view traceparent) const;
  /// The first span of a trace; null when it is not sampled.
  SpanPtr StartRoot(Span::Kind kind, TraceContext context) const;
  void End(Span& span) const;

 private:
  SpanPtr Begin(Span::Kind kind, TraceContext context, std::string parent_id) const;

  const Clock& clock_;
  Sink& sink_;
};

inline SpanPtr StartSpan(const Tracer* tracer, Span::Kind kind, std::string_view traceparent) {
  return tracer == nullptr ? nullptr : tracer->Start(kind, traceparent);
}
/// By the headers of a record.
inline SpanPtr StartSpan(const Tracer* tracer, Span::Kind kind,
                         const std::vector<std::pair<std::string, std::string>>& headers) {
  return tracer == nullptr ? nullptr : tracer->Start(kind, FindTraceparent(headers));
}
inline void EndSpan(const Tracer* tracer, const SpanPtr& span) {
  if (span != nullptr) tracer->End(*span);
}

/// How a service takes part in traces.
struct Tracing {
  const Tracer* tracer = nullptr;
  double sample_ratio = 0;  // of the traces that begin here
};

}  // namespace dispatch
