#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/cesql/value.h"

namespace dispatch::cesql {

class TextStore;

enum class Function : uint8_t {
  kLength,
  kConcat,
  kConcatWs,
  kLower,
  kUpper,
  kTrim,
  kLeft,
  kRight,
  kSubstring,
  kAbs,
  kInt,
  kBool,
  kString,
};

/// A built-in function (CESQL 3.5): what it takes and gives.
struct Signature {
  std::string_view name;  // in upper case
  Function function;
  size_t min_arguments;
  size_t max_arguments;  // SIZE_MAX: any number
  Type result;
  /// Of the first and of the later arguments; INT, BOOL and STRING take any type.
  Type first = Type::kString;
  Type rest = Type::kString;
  bool takes_any = false;
};

/// Null when no function of that name takes so many arguments.
const Signature* FindFunction(std::string_view upper_name, size_t arguments);

/// Casts the arguments in place and calls. An argument's errors give the zero value of the result's
/// type; the function's own error goes with the value that its definition names.
Value Call(const Signature& signature, std::span<Value> arguments, TextStore& store);

/// Casts in place (CESQL 3.7). False, with the zero value and a cast error, when it cannot be.
bool Cast(Value& value, Type type, TextStore& store);

}  // namespace dispatch::cesql
