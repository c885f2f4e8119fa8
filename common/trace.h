#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  /// A trace that begins here, sampled in this share of all calls (0 to 1), as its id says: whoever
  /// goes by the id's last 56 bits as well (W3C Trace Context level 2) comes to the same decision.
  static TraceContext NewRoot(double sampled_share);
  /// The same trace with a new span.
  TraceContext Child() const;
};

/// Whether Parse takes the header, and its sampled flag is set. Allocates nothing.
bool IsSampled(std::string_view traceparent);

/// The first valid `traceparent` among the headers of a record; empty: none.
std::string_view FindTraceparent(const std::vector<std::pair<std::string, std::string>>& headers);
/// Puts another in the place of that one.
void ReplaceTraceparent(std::vector<std::pair<std::string, std::string>>& headers,
                        std::string traceparent);

}  // namespace dispatch
