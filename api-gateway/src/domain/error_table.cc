#include "api-gateway/src/domain/error_table.h"

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

int RetryAfterSeconds(int status) {
  if (status == 503) return 2;
  if (status == 429) return 1;
  return 0;
}

}  // namespace dispatch::gateway
