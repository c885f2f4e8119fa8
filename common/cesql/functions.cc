#include "common/cesql/functions.h"

#include <charconv>
#include <limits>

#include "common/cesql/text.h"
#include "common/cesql/text_store.h"

namespace dispatch::cesql {

namespace {

constexpr size_t kAny = SIZE_MAX;

constexpr Signature kFunctions[] = {
    {"LENGTH", Function::kLength, 1, 1, Type::kInteger},
    {"CONCAT", Function::kConcat, 0, kAny, Type::kString},
    {"CONCAT_WS", Function::kConcatWs, 1, kAny, Type::kString},
    {"LOWER", Function::kLower, 1, 1, Type::kString},
    {"UPPER", Function::kUpper, 1, 1, Type::kString},
    {"TRIM", Function::kTrim, 1, 1, Type::kString},
    {"LEFT", Function::kLeft, 2, 2, Type::kString, Type::kString, Type::kInteger},
    {"RIGHT", Function::kRight, 2, 2, Type::kString, Type::kString, Type::kInteger},
    {"SUBSTRING", Function::kSubstring, 2, 3, Type::kString, Type::kString, Type::kInteger},
    {"ABS", Function::kAbs, 1, 1, Type::kInteger, Type::kInteger},
    {"INT", Function::kInt, 1, 1, Type::kInteger, {}, {}, true},
    {"BOOL", Function::kBool, 1, 1, Type::kBoolean, {}, {}, true},
    {"STRING", Function::kString, 1, 1, Type::kString, {}, {}, true},
};

Value Failed(std::string_view text) {
  Value value = Value::String(text);
  value.errors = ErrorSet(ErrorKind::kFunctionEvaluation);
  return value;
}

Value OutOfBounds(Type type) { return Value::Zero(type, ErrorSet(ErrorKind::kGeneric)); }

Value Join(std::string_view separator, std::span<Value> parts, TextStore& store) {
  size_t size = 0;
  for (const auto& part : parts) size += part.text.size() + separator.size();
  if (size > TextStore::kMaxTextBytes || !store.Spend(size)) return OutOfBounds(Type::kString);
  std::string joined;
  joined.reserve(size);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i].text;
  }
  return Value::String(store.Keep(std::move(joined)));
}

Value Substring(std::string_view text, int64_t position, const Value* length) {
  auto count = static_cast<int64_t>(CountCodePoints(text));
  if (position > count || position < -count) return Failed({});
  if (length != nullptr && length->number < 0) return Failed({});
  if (position == 0) return Value::String({});
  auto first = static_cast<size_t>(position > 0 ? position - 1 : count + position);
  text.remove_prefix(OffsetOf(text, first));
  if (length != nullptr) text = text.substr(0, OffsetOf(text, length->number));
  return Value::String(text);
}

Value Right(std::string_view text, int32_t wanted) {
  size_t count = CountCodePoints(text);
  auto keep = static_cast<size_t>(wanted);
  return Value::String(keep >= count ? text : text.substr(OffsetOf(text, count - keep)));
}

Value Absolute(int32_t number) {
  if (number != std::numeric_limits<int32_t>::min()) {
    return Value::Integer(number < 0 ? -number : number);
  }
  Value most = Value::Integer(std::numeric_limits<int32_t>::max());
  most.errors = ErrorSet(ErrorKind::kMath);
  return most;
}

bool ParseInteger(std::string_view text, int32_t* number) {
  bool minus = !text.empty() && text[0] == '-';
  if (minus || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  int64_t magnitude = 0;
  auto read = std::from_chars(text.data(), text.data() + text.size(), magnitude);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return false;
  if (minus) magnitude = -magnitude;
  *number = static_cast<int32_t>(magnitude);
  return magnitude >= std::numeric_limits<int32_t>::min() &&
         magnitude <= std::numeric_limits<int32_t>::max();
}

bool CastText(Value& value, Type type, TextStore& store) {
  if (!store.Spend(type == Type::kInteger ? value.text.size() : 1)) {
    value = OutOfBounds(type);
    return false;
  }
  int32_t number = 0;
  bool fits = type == Type::kInteger ? ParseInteger(value.text, &number) : true;
  if (type == Type::kBoolean) {
    number = EqualsIgnoreCase(value.text, "true") ? 1 : 0;
    fits = number == 1 || EqualsIgnoreCase(value.text, "false");
  }
  value = fits ? Value{type, {}, number, {}} : Value::Zero(type, ErrorSet(ErrorKind::kCast));
  return fits;
}

Value Run(Function function, std::span<Value> a, TextStore& store) {
  switch (function) {
    case Function::kLength:
      return Value::Integer(static_cast<int32_t>(CountCodePoints(a[0].text)));
    case Function::kConcat:
      return Join({}, a, store);
    case Function::kConcatWs:
      return Join(a[0].text, a.subspan(1), store);
    case Function::kLower:
      return Value::String(store.Keep(Lower(a[0].text)));
    case Function::kUpper:
      return Value::String(store.Keep(Upper(a[0].text)));
    case Function::kTrim:
      return Value::String(Trim(a[0].text));
    case Function::kLeft:
      if (a[1].number < 0) return Failed(a[0].text);
      return Value::String(a[0].text.substr(0, OffsetOf(a[0].text, a[1].number)));
    case Function::kRight:
      if (a[1].number < 0) return Failed(a[0].text);
      return Right(a[0].text, a[1].number);
    case Function::kSubstring:
      return Substring(a[0].text, a[1].number, a.size() > 2 ? &a[2] : nullptr);
    case Function::kAbs:
      return Absolute(a[0].number);
    default:  // INT, BOOL and STRING: the cast is all
      return a[0];
  }
}

}  // namespace

const Signature* FindFunction(std::string_view upper_name, size_t arguments) {
  for (const auto& signature : kFunctions) {
    if (signature.name == upper_name && arguments >= signature.min_arguments &&
        arguments <= signature.max_arguments) {
      return &signature;
    }
  }
  return nullptr;
}

bool Cast(Value& value, Type type, TextStore& store) {
  if (value.type == type) return true;
  if (value.type == Type::kString) return CastText(value, type, store);
  if (type == Type::kString && value.type == Type::kBoolean) {
    value = Value::String(value.number != 0 ? "true" : "false");
  } else if (type == Type::kString) {
    char digits[12];
    auto end = std::to_chars(digits, digits + sizeof(digits), value.number).ptr;
    value = Value::String(store.Keep(std::string_view(digits, end - digits)));
  } else {
    value = Value{type, {}, type == Type::kBoolean ? value.number != 0 : value.number, {}};
  }
  return true;
}

Value Call(const Signature& signature, std::span<Value> arguments, TextStore& store) {
  ErrorSet errors;
  for (const auto& argument : arguments) errors = errors | argument.errors;
  if (!errors.empty()) return Value::Zero(signature.result, errors);
  for (size_t i = 0; i < arguments.size(); ++i) {
    Type wanted = signature.takes_any ? signature.result
                  : i == 0            ? signature.first
                                      : signature.rest;
    Cast(arguments[i], wanted, store);
    errors = errors | arguments[i].errors;
    // Text is looked at some times: what a call costs is bounded by its size.
    if (!store.Spend(arguments[i].text.size())) return OutOfBounds(signature.result);
  }
  if (!errors.empty()) return Value::Zero(signature.result, errors);
  return Run(signature.function, arguments, store);
}

}  // namespace dispatch::cesql
