#include "api-gateway/src/domain/call.h"

#include <fmt/format.h>

#include <algorithm>

#include "api-gateway/src/domain/error_table.h"
#include "common/crypto.h"
#include "schema/cloudevents_text.h"

namespace dispatch::gateway {

namespace {

constexpr size_t kMaxRequestId = 128;

std::string RequestId(const http::Request& request) {
  auto given = request.headers.Get("X-Request-Id");
  bool usable =
      given && !given->empty() && given->size() <= kMaxRequestId &&
      std::all_of(given->begin(), given->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return usable ? std::string(*given) : crypto::HexEncode(crypto::RandomBytes(12));
}

}  // namespace

Call::Call(http::Request r, std::shared_ptr<http::ResponseWriter> writer)
    : request(std::move(r)), request_id(RequestId(request)), writer_(std::move(writer)) {}

Call::~Call() {
  if (finished) finished(*this, streamed_);
}

void Call::Send(http::Response response) {
  if (writer_ == nullptr) return;
  for (const auto& [name, value] : extra_) response.headers.Add(name, value);
  response.headers.Add("X-Request-Id", request_id);
  int status = response.status;
  std::exchange(writer_, nullptr)->Send(std::move(response));
  if (auto told = std::exchange(finished, nullptr)) told(*this, status);
}

std::shared_ptr<http::ResponseWriter> Call::Stream(std::string_view content_type) {
  http::Headers headers = extra_;
  headers.Add("Content-Type", std::string(content_type));
  headers.Add("Cache-Control", "no-store");
  headers.Add("X-Request-Id", request_id);
  streamed_ = 200;
  auto writer = std::exchange(writer_, nullptr);
  writer->Start(streamed_, std::move(headers));
  return writer;
}

void Call::SendJson(int status, std::string body) {
  Send(http::Response::Json(status, std::move(body)));
}

void Call::Fail(const Error& error) {
  int status = HttpStatusOf(error.code);
  json::array details;
  for (const FieldError& detail : error.details) {
    details.push_back({{"field", detail.field}, {"reason", detail.reason}});
  }
  if (int seconds = RetryAfterSeconds(status); seconds > 0) {
    AddHeader("Retry-After", std::to_string(seconds));
  }
  if (status == 401) AddHeader("WWW-Authenticate", "Bearer");
  SendJson(status, json::object{{"code", BodyCodeOf(status, request.path, error)},
                                {"message", error.message},
                                {"details", std::move(details)},
                                {"requestId", request_id}});
}

void Call::AddHeader(std::string name, std::string value) {
  extra_.Add(std::move(name), std::move(value));
}

bool Call::Require(const std::vector<std::string_view>& actions, std::string_view resource) {
  bool allowed = std::any_of(actions.begin(), actions.end(), [&](std::string_view action) {
    return principal->permissions.Allows(action, resource);
  });
  if (allowed) return true;
  Fail({Code::kPermissionDenied,
        fmt::format("the key may not {} {}: its scopes or a policy must allow it",
                    fmt::join(actions, " or "), resource)});
  return false;
}

Result<json::object> Call::Body() const {
  auto type = request.headers.Get("Content-Type");
  if (type && !cloudevents::MediaType(*type).IsJson()) {
    return {Code::kUnsupportedMedia,
            fmt::format("{} is not supported: send application/json", *type)};
  }
  return json::ParseObject(request.body, json::kBodyDepth);
}

}  // namespace dispatch::gateway
