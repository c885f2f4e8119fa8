#include "common/result.h"

namespace dispatch {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid-argument";
    case Code::kUnauthenticated:
      return "unauthenticated";
    case Code::kPermissionDenied:
      return "permission-denied";
    case Code::kNotFound:
      return "not-found";
    case Code::kAlreadyExists:
      return "already-exists";
    case Code::kConflict:
      return "conflict";
    case Code::kPreconditionFailed:
      return "precondition-failed";
    case Code::kTooLarge:
      return "too-large";
    case Code::kUnsupportedMedia:
      return "unsupported-media";
    case Code::kUnprocessable:
      return "unprocessable";
    case Code::kResourceExhausted:
      return "resource-exhausted";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kDeadlineExceeded:
      return "deadline-exceeded";
    case Code::kFenced:
      return "fenced";
    case Code::kOutOfRange:
      return "out-of-range";
    case Code::kCancelled:
      return "cancelled";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

bool RetryableByDefault(Code code) {
  return code == Code::kResourceExhausted || code == Code::kUnavailable ||
         code == Code::kDeadlineExceeded;
}

}  // namespace dispatch
