#include "api-gateway/src/domain/request_trace.h"

#include <algorithm>
#include <array>

namespace dispatch::gateway {

namespace {

// What others may call a request is not for names of spans, nor as it is for the attribute.
bool IsKnown(std::string_view method) {
  constexpr std::array<std::string_view, 9> kMethods = {
      "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

std::string_view GivenBy(const http::Request& request) {
  auto given = request.headers.Get("traceparent");
  return given && TraceContext::Parse(*given) ? *given : std::string_view();
}

}  // namespace

RequestTrace::RequestTrace(const Tracing& tracing, const http::Request& request)
    : tracer_(tracing.tracer), sample_ratio_(tracing.sample_ratio) {
  if (tracer_ == nullptr) return;
  std::string_view given = GivenBy(request);
  if (!given.empty()) {
    span_ = tracer_->Start(Span::Kind::kServer, given);
    return;
  }
  span_ = tracer_->StartRoot(Span::Kind::kServer, TraceContext::NewRoot(sample_ratio_));
  sample_ratio_ = 0;  // it was decided
}

std::string RequestTrace::Traceparent(const http::Request& request) const {
  if (span_ != nullptr) return span_->context.ToTraceparent();
  std::string_view given = GivenBy(request);
  return given.empty() ? TraceContext::NewRoot(sample_ratio_).ToTraceparent() : std::string(given);
}

void RequestTrace::End(const http::Request& request, std::string_view route, int status) const {
  if (span_ == nullptr || status == 401) return;
  bool known = IsKnown(request.method);
  span_->name = known ? request.method : "HTTP";
  if (!route.empty()) span_->name.append(" ").append(route);
  span_->Set("http.request.method", known ? std::string_view(request.method) : "_OTHER");
  span_->Set("url.scheme", request.secure ? "https" : "http");
  span_->Set("url.path", request.path);
  if (route.starts_with('/')) span_->Set("http.route", route);
  if (auto agent = request.headers.Get("User-Agent")) span_->Set("user_agent.original", *agent);
  if (status != 0) span_->Set("http.response.status_code", status);
  if (status == 0 || status >= 500) {
    span_->Set("error.type", status == 0 ? "unanswered" : std::to_string(status));
    span_->error = status == 0 ? "the request was dropped" : http::ReasonPhrase(status);
  }
  tracer_->End(*span_);
}

}  // namespace dispatch::gateway
