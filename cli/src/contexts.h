#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch::cli {

/// The configuration file, in the form that VMware's CLI has:
/// {"current": "n", "contexts": {"n": {"host", "port", "scheme", "organization", ..., "token"}}}.
/// Fields that this program does not know are kept.
class ContextFile {
 public:
  explicit ContextFile(std::filesystem::path path) : path_(std::move(path)) {}

  /// A file that is not there is an empty one.
  Status Load();
  Status Save() const;

  const std::filesystem::path& path() const { return path_; }
  const std::string& current() const { return current_; }
  std::vector<std::string> names() const;
  const json::object* Find(std::string_view name) const;

  /// The context to change, made when it is not there. The first one becomes the current one.
  json::object& Edit(const std::string& name);
  Status Use(const std::string& name);
  Status Remove(const std::string& name);

 private:
  Error Unknown(std::string_view name) const;

  std::filesystem::path path_;
  std::string current_;
  json::object contexts_;
  json::object others_;
};

}  // namespace dispatch::cli
