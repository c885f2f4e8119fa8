#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace dispatch::cli {

/// What the command sees of the machine; a parameter, for tests.
struct Environment {
  std::function<std::optional<std::string>(const std::string& name)> get;
  std::filesystem::path directory;   // current
  std::filesystem::path executable;  // of this program
  WallTime now;
  bool terminal = false;  // standard error is one
  std::function<void(Duration)> sleep;
  /// All of standard input; nothing when it is a terminal or no pipe and no file.
  std::function<std::optional<std::string>()> piped;
  /// Lets somebody edit a file; the exit code of the program.
  std::function<int(const std::string& editor, const std::filesystem::path& file)> edit;

  /// What is at a URL, without any key.
  std::function<Result<std::string>(const std::string& url)> fetch;

  static Environment OfProcess();

  /// The variable, when it is set and not empty.
  std::optional<std::string> Get(const std::string& name) const;
  /// The first of `start` and its parents that has `relative`, with it appended.
  static std::optional<std::filesystem::path> FindUpwards(std::filesystem::path start,
                                                          const std::filesystem::path& relative);
};

/// The whole file, or of standard input for "-".
Result<std::string> ReadFile(const std::string& path);
/// With a file beside it and a rename; mode 0600, its directory made (0700) when missing.
Status WritePrivateFile(const std::filesystem::path& path, std::string_view text);

}  // namespace dispatch::cli
