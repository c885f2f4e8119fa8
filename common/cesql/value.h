#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// CloudEvents SQL 1.0: a total language over the context attributes of one event. Every evaluation
/// ends with a value and a set of errors; nothing here throws.
namespace dispatch::cesql {

enum class Type : uint8_t { kString, kInteger, kBoolean };

/// CESQL 1.0 section 3.3, and the limits of this implementation as kGeneric.
enum class ErrorKind : uint8_t {
  kParse,
  kMath,
  kCast,
  kMissingAttribute,
  kMissingFunction,
  kFunctionEvaluation,
  kGeneric,
};

inline constexpr ErrorKind kErrorKinds[] = {
    ErrorKind::kParse,
    ErrorKind::kMath,
    ErrorKind::kCast,
    ErrorKind::kMissingAttribute,
    ErrorKind::kMissingFunction,
    ErrorKind::kFunctionEvaluation,
    ErrorKind::kGeneric,
};

/// As the conformance suite writes it: "missingAttribute".
std::string_view ErrorKindName(ErrorKind kind);
/// "a String", "an Integer", "a Boolean".
std::string_view TypeName(Type type);

class ErrorSet {
 public:
  constexpr ErrorSet() = default;
  constexpr explicit ErrorSet(ErrorKind kind) : bits_(static_cast<uint8_t>(1U << Bit(kind))) {}

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool Contains(ErrorKind kind) const { return ((bits_ >> Bit(kind)) & 1U) != 0; }
  constexpr ErrorSet operator|(ErrorSet other) const {
    ErrorSet both;
    both.bits_ = static_cast<uint8_t>(bits_ | other.bits_);
    return both;
  }
  constexpr bool operator==(const ErrorSet&) const = default;

 private:
  static constexpr unsigned Bit(ErrorKind kind) { return static_cast<unsigned>(kind); }

  uint8_t bits_ = 0;
};

/// A value on its way through an evaluation. Text is a view of an attribute, of a constant of the
/// program, or of the evaluation's own store.
struct Value {
  Type type = Type::kBoolean;
  ErrorSet errors;
  int32_t number = 0;  // Integer, or Boolean as 0 and 1
  std::string_view text;

  static Value String(std::string_view text) { return {Type::kString, {}, 0, text}; }
  static Value Integer(int32_t number) { return {Type::kInteger, {}, number, {}}; }
  static Value Boolean(bool truth) { return {Type::kBoolean, {}, truth ? 1 : 0, {}}; }
  /// The zero value of a type, with the errors that led to it.
  static Value Zero(Type type, ErrorSet errors) { return {type, errors, 0, {}}; }
};

/// What an evaluation gave, with its text owned.
struct Answer {
  Type type = Type::kBoolean;
  int32_t number = 0;
  std::string text;
  ErrorSet errors;
};

/// The context attributes of one valid event, by name in lower case.
class Attributes {
 public:
  virtual ~Attributes() = default;
  /// False when the event has no such attribute. Text must outlive the evaluation.
  virtual bool Find(std::string_view name, Value* value) const = 0;
};

}  // namespace dispatch::cesql
