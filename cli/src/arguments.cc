#include "cli/src/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace dispatch::cli {

namespace {

const Flag* FindLong(const std::vector<Flag>& flags, std::string_view name) {
  auto it = std::find_if(flags.begin(), flags.end(), [&](const Flag& f) { return f.name == name; });
  return it == flags.end() ? nullptr : &*it;
}

const Flag* FindShort(const std::vector<Flag>& flags, char letter) {
  auto it =
      std::find_if(flags.begin(), flags.end(), [&](const Flag& f) { return f.letter == letter; });
  return it == flags.end() ? nullptr : &*it;
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

// The flag that was most likely meant, from those that begin alike.
Error UnknownFlag(const std::vector<Flag>& flags, const std::string& word, std::string_view name) {
  const Flag* nearest = nullptr;
  size_t best = 2;
  for (const Flag& flag : flags) {
    size_t common = CommonPrefix(flag.name, name);
    if (common > best) {
      best = common;
      nearest = &flag;
    }
  }
  std::string hint = nearest ? fmt::format("; did you mean --{}?", nearest->name) : "";
  return UsageError(fmt::format("unknown flag {}{}", word, hint));
}

}  // namespace

Error UsageError(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

bool IsUsageError(const Error& error) { return error.code == Code::kInvalidArgument; }

Result<Arguments> Arguments::Parse(const std::vector<std::string>& words,
                                   const std::vector<Flag>& flags) {
  Arguments arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') {
      arguments.positionals_.push_back(word);
      continue;
    }
    if (word == "--") {
      arguments.positionals_.insert(arguments.positionals_.end(),
                                    words.begin() + static_cast<ptrdiff_t>(i) + 1, words.end());
      break;
    }
    const Flag* flag = nullptr;
    std::optional<std::string> value;
    if (word[1] == '-') {
      size_t equals = word.find('=');
      std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
      if (equals != std::string::npos) value = word.substr(equals + 1);
      flag = FindLong(flags, name);
      if (flag == nullptr) return UnknownFlag(flags, word, name);
    } else {
      flag = FindShort(flags, word[1]);
      if (flag == nullptr) return UnknownFlag(flags, word, word.substr(1));
      if (word.size() > 2) value = word.substr(word[2] == '=' ? 3 : 2);
    }
    if (flag->value.empty()) {
      if (value) return UsageError(fmt::format("--{} takes no value", flag->name));
      value = "";
    } else if (!value) {
      if (i + 1 == words.size()) {
        return UsageError(fmt::format("--{} needs a value: {}", flag->name, flag->value));
      }
      value = words[++i];
    }
    if (!flag->repeatable && arguments.Has(flag->name)) {
      return UsageError(fmt::format("--{} is given twice", flag->name));
    }
    arguments.values_.emplace_back(flag->name, *value);
  }
  return arguments;
}

std::optional<std::string> Arguments::Value(std::string_view flag) const {
  for (auto it = values_.rbegin(); it != values_.rend(); ++it) {
    if (it->first == flag) return it->second;
  }
  return std::nullopt;
}

std::string Arguments::ValueOr(std::string_view flag, std::string_view otherwise) const {
  auto value = Value(flag);
  return value ? *value : std::string(otherwise);
}

std::vector<std::string> Arguments::All(std::string_view flag) const {
  std::vector<std::string> all;
  for (const auto& [name, value] : values_) {
    if (name == flag) all.push_back(value);
  }
  return all;
}

Result<std::optional<int64_t>> Arguments::Int(std::string_view flag, int64_t min,
                                              int64_t max) const {
  auto text = Value(flag);
  if (!text) return std::optional<int64_t>();
  int64_t number = 0;
  auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (fault == std::errc() && end == text->data() + text->size() && number >= min &&
      number <= max) {
    return std::optional(number);
  }
  return UsageError(
      fmt::format("--{} must be a whole number from {} to {}, not '{}'", flag, min, max, *text));
}

std::vector<std::string> Arguments::given() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : values_) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

Arguments Arguments::WithoutFirst() const {
  Arguments rest = *this;
  if (!rest.positionals_.empty()) rest.positionals_.erase(rest.positionals_.begin());
  return rest;
}

Status CheckCount(const Arguments& arguments, size_t min, size_t max, std::string_view expected) {
  size_t count = arguments.positionals().size();
  if (count < min) return UsageError(fmt::format("{} is missing", expected));
  if (count > max) {
    return UsageError(fmt::format("'{}' is too much: expected {}", arguments.positionals()[max],
                                  max == 0 ? "no argument" : expected));
  }
  return {};
}

}  // namespace dispatch::cli
