#include "event-manager/src/domain/data_condition.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace dispatch {

namespace {

// It holds every int64, uint64 and double exactly.
long double NumberOf(const json::value& value) {
  if (value.is_int64()) return static_cast<long double>(value.get_int64());
  if (value.is_uint64()) return static_cast<long double>(value.get_uint64());
  return static_cast<long double>(value.get_double());
}

Error Bad(std::string reason) { return {Code::kUnprocessable, std::move(reason)}; }

}  // namespace

Result<JsonPointer> JsonPointer::Parse(std::string_view text) {
  JsonPointer pointer;
  if (text.size() > kMaxText) return Bad(fmt::format("is longer than {} bytes", kMaxText));
  if (!text.empty() && text[0] != '/') {
    return Bad("must be a JSON pointer, as /order/items/0, or empty for the whole data");
  }
  pointer.text_ = text;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '/') {
      pointer.tokens_.emplace_back();
    } else if (c != '~') {
      pointer.tokens_.back() += c;
    } else if (i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1')) {
      pointer.tokens_.back() += text[++i] == '0' ? '~' : '/';
    } else {
      return Bad("has a '~' that is neither ~0 (for ~) nor ~1 (for /)");
    }
  }
  if (pointer.tokens_.size() > kMaxTokens) {
    return Bad(fmt::format("is deeper than {} levels", kMaxTokens));
  }
  return pointer;
}

const json::value* JsonPointer::Find(const json::value& document) const {
  const json::value* at = &document;
  for (const auto& token : tokens_) {
    if (const auto* object = at->if_object()) {
      at = object->if_contains(token);
    } else if (const auto* array = at->if_array()) {
      size_t index = 0;
      auto read = std::from_chars(token.data(), token.data() + token.size(), index);
      bool whole = read.ec == std::errc() && read.ptr == token.data() + token.size();
      bool plain = whole && (token.size() == 1 || token[0] != '0');
      at = plain && index < array->size() ? &(*array)[index] : nullptr;
    } else {
      at = nullptr;
    }
    if (at == nullptr) return nullptr;
  }
  return at;
}

Result<DataCondition> DataCondition::Parse(JsonPointer pointer, std::string_view name,
                                           const json::value& operand) {
  struct Known {
    std::string_view name;
    Op op;
  };
  static constexpr Known kKnown[] = {
      {"exact", Op::kExact},   {"prefix", Op::kPrefix},
      {"suffix", Op::kSuffix}, {"exists", Op::kExists},
      {"lt", Op::kLess},       {"lte", Op::kLessOrEqual},
      {"gt", Op::kGreater},    {"gte", Op::kGreaterOrEqual},
  };
  DataCondition condition;
  condition.pointer_ = std::move(pointer);
  condition.operand_ = operand;
  const Known* found = nullptr;
  for (const auto& known : kKnown) {
    if (known.name == name) found = &known;
  }
  if (found == nullptr) return Bad(fmt::format("is no condition; use {}", kNames));
  condition.op_ = found->op;
  switch (found->op) {
    case Op::kExact:
      if (operand.is_structured()) return Bad("must be text, a number, true, false or null");
      break;
    case Op::kPrefix:
    case Op::kSuffix:
      if (!operand.is_string() || operand.as_string().empty()) {
        return Bad("must be text that is not empty");
      }
      break;
    case Op::kExists:
      if (!operand.is_bool()) return Bad("must be true or false");
      break;
    default:
      if (!operand.is_number()) return Bad("must be a number");
  }
  return condition;
}

bool DataCondition::Holds(const json::value* document) const {
  const json::value* field = document == nullptr ? nullptr : pointer_.Find(*document);
  if (op_ == Op::kExists) return (field != nullptr) == operand_.get_bool();
  if (field == nullptr) return false;
  if (operand_.is_number()) {
    if (!field->is_number()) return false;
    long double number = NumberOf(*field);
    long double bound = NumberOf(operand_);
    switch (op_) {
      case Op::kExact:
        return number == bound;
      case Op::kLess:
        return number < bound;
      case Op::kLessOrEqual:
        return number <= bound;
      case Op::kGreater:
        return number > bound;
      default:
        return number >= bound;
    }
  }
  if (!operand_.is_string()) return *field == operand_;
  if (!field->is_string()) return false;
  std::string_view text = field->get_string();
  std::string_view wanted = operand_.get_string();
  if (op_ == Op::kPrefix) return text.starts_with(wanted);
  if (op_ == Op::kSuffix) return text.ends_with(wanted);
  return text == wanted;
}

std::optional<std::string> DataCondition::RequiredKey() const {
  if (op_ != Op::kExact) return std::nullopt;
  return ScalarKey(operand_);
}

std::optional<std::string> ScalarKey(const json::value& value) {
  if (value.is_string()) return "s" + std::string(value.get_string());
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_null()) return "null";
  if (value.is_int64()) return fmt::format("{}", value.get_int64());
  if (value.is_uint64()) return fmt::format("{}", value.get_uint64());
  if (!value.is_double()) return std::nullopt;
  double number = value.get_double();
  constexpr double kLeast = -9223372036854775808.0;
  constexpr double kBeyond = 18446744073709551616.0;
  bool whole = number == std::trunc(number) && number >= kLeast && number < kBeyond;
  if (!whole) return fmt::format("{:a}", number);
  return number < 0 ? fmt::format("{}", static_cast<int64_t>(number))
                    : fmt::format("{}", static_cast<uint64_t>(number));
}

}  // namespace dispatch
