#include "common/cesql/value.h"

namespace dispatch::cesql {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kParse:
      return "parse";
    case ErrorKind::kMath:
      return "math";
    case ErrorKind::kCast:
      return "cast";
    case ErrorKind::kMissingAttribute:
      return "missingAttribute";
    case ErrorKind::kMissingFunction:
      return "missingFunction";
    case ErrorKind::kFunctionEvaluation:
      return "functionEvaluation";
    case ErrorKind::kGeneric:
      break;
  }
  return "generic";
}

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kString:
      return "a String";
    case Type::kInteger:
      return "an Integer";
    case Type::kBoolean:
      break;
  }
  return "a Boolean";
}

}  // namespace dispatch::cesql
