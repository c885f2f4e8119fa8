#pragma once

#include <string>
#include <string_view>

#include "common/http/message.h"
#include "common/span.h"

namespace dispatch::gateway {

/// A request's place in a trace: the caller's, whose mark holds, or one that begins here. Its span,
/// if it has one, is the parent of all that the request causes.
class RequestTrace {
 public:
  RequestTrace() = default;  // exports none, samples none
  RequestTrace(const Tracing& tracing, const http::Request& request);

  /// The context to pass on: of the span, else the caller's, else a new one.
  std::string Traceparent(const http::Request& request) const;
  /// Null: there is none. `End` is still to be told.
  Span* span() const { return span_.get(); }
  /// `route`: "/v1/topics/{name}", or what bounds the names of spans as well; empty: none has it.
  /// `status` 0: no answer was sent. Who showed no key (401) gets no span.
  void End(const http::Request& request, std::string_view route, int status) const;

 private:
  const Tracer* tracer_ = nullptr;
  double sample_ratio_ = 0;
  SpanPtr span_;
};

}  // namespace dispatch::gateway
