#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// A JSON pointer (RFC 6901): where in the data a condition looks.
class JsonPointer {
 public:
  static constexpr size_t kMaxText = 512;
  static constexpr size_t kMaxTokens = 32;

  /// The message says what is wrong with the pointer: "must begin with '/', ...".
  static Result<JsonPointer> Parse(std::string_view text);

  /// Null when nothing is there.
  const json::value* Find(const json::value& document) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<std::string> tokens_;
};

/// One condition of the `data` dialect: what a field of the data must be. Does not hold where the
/// field is missing (but `exists: false`) or of another type; numbers compare by value, 5 and 5.0
/// are equal.
class DataCondition {
 public:
  static constexpr std::string_view kNames = "exact, prefix, suffix, exists, lt, lte, gt or gte";

  /// From the name and the operand; the message says what the operand must be.
  static Result<DataCondition> Parse(JsonPointer pointer, std::string_view name,
                                     const json::value& operand);

  /// `document` is null when the event has no JSON data.
  bool Holds(const json::value* document) const;

  const JsonPointer& pointer() const { return pointer_; }
  /// For an index: the ScalarKey of the field when the condition is `exact`.
  std::optional<std::string> RequiredKey() const;

 private:
  enum class Op {
    kExact,
    kPrefix,
    kSuffix,
    kExists,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual
  };

  JsonPointer pointer_;
  Op op_ = Op::kExact;
  json::value operand_;
};

/// One text for all scalars that are equal; nothing for objects and arrays.
std::optional<std::string> ScalarKey(const json::value& value);

}  // namespace dispatch
