#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dispatch {

/// W3C Trace Context (traceparent, section 3.2): passed from HTTP through Kafka headers to the
/// endpoint.
struct TraceContext {
  std::string trace_id;  // 32 lower-case hex characters
  std::string span_id;   // 16
  bool sampled = false;

  std::string ToTraceparent() const;
  /// Nothing for a header that the specification says to ignore.
  static std::optional<TraceContext> Parse(std::string_view traceparent);
  static TraceContext NewRoot();
  /// The same trace with a new span.
  TraceContext Child() const;
};

}  // namespace dispatch
