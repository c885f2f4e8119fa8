#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"

namespace dispatch::cli {

/// Something of the command line that is wrong: exit code 2. Everything else that fails is 1.
Error UsageError(std::string message);
bool IsUsageError(const Error& error);

struct Flag {
  std::string name;   // without dashes
  std::string value;  // what its value is called in help; empty: a switch
  std::string help;
  char letter = 0;
  bool repeatable = false;
  bool hidden = false;  // VMware's, for its scripts: help does not list it
};

/// A command line, taken apart: flags may stand anywhere, `--name value` or `--name=value`, `-o v`
/// or
/// `-ov`; what follows `--` is not a flag.
class Arguments {
 public:
  static Result<Arguments> Parse(const std::vector<std::string>& words,
                                 const std::vector<Flag>& flags);

  const std::vector<std::string>& positionals() const { return positionals_; }
  bool Has(std::string_view flag) const { return Value(flag).has_value(); }
  /// The last one given; "" for a switch.
  std::optional<std::string> Value(std::string_view flag) const;
  std::string ValueOr(std::string_view flag, std::string_view otherwise) const;
  std::vector<std::string> All(std::string_view flag) const;
  /// A usage error when it is no whole number within the bounds.
  Result<std::optional<int64_t>> Int(std::string_view flag, int64_t min, int64_t max) const;

  /// Names of the flags given, each once.
  std::vector<std::string> given() const;
  Arguments WithoutFirst() const;

 private:
  std::vector<std::string> positionals_;
  std::vector<std::pair<std::string, std::string>> values_;
};

/// A usage error unless there are from `min` to `max` words beside the flags.
Status CheckCount(const Arguments& arguments, size_t min, size_t max, std::string_view expected);

}  // namespace dispatch::cli
