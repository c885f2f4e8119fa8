#include "api-gateway/src/domain/error_table.h"

#include <algorithm>
#include <array>

namespace dispatch::gateway {

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
    case Code::kOutOfRange:
      return 404;
    case Code::kAlreadyExists:
    case Code::kConflict:
      return 409;
    case Code::kPreconditionFailed:
      return 412;
    case Code::kTooLarge:
      return 413;
    case Code::kUnsupportedMedia:
      return 415;
    case Code::kUnprocessable:
      return 422;
    // The principal's own limit. Whoever finds a queue of ours full says kUnavailable.
    case Code::kResourceExhausted:
      return 429;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kFenced:
    case Code::kCancelled:
      return 503;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

int BodyCodeOf(int status, std::string_view path, const Error& error) {
  constexpr std::array<std::string_view, 8> kPaths = {
      "/v1/baseimage", "/v1/image",       "/v1/function", "/v1/secret",
      "/v1/api",       "/v1/application", "/v1/event/",   "/v1/iam/"};
  constexpr int kPattern = 605;
  auto within = [&](std::string_view known) {
    return path.starts_with(known) &&
           (path.size() == known.size() || known.back() == '/' || path[known.size()] == '/');
  };
  auto names = [](const FieldError& detail) {
    return detail.field == "eventType" ||
           (detail.field == "name" && detail.reason.starts_with("must "));
  };
  bool pattern = status == 422 && std::any_of(kPaths.begin(), kPaths.end(), within) &&
                 std::any_of(error.details.begin(), error.details.end(), names);
  return pattern ? kPattern : status;
}

int RetryAfterSeconds(int status) {
  if (status == 503) return 2;
  if (status == 429) return 1;
  return 0;
}

}  // namespace dispatch::gateway
