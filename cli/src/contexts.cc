#include "cli/src/contexts.h"

#include <fmt/format.h>

#include "cli/src/environment.h"
#include "cli/src/output.h"

namespace dispatch::cli {

Status ContextFile::Load() {
  std::error_code ignored;
  if (!std::filesystem::exists(path_, ignored)) return {};
  ASSIGN_OR_RETURN(std::string text, ReadFile(path_.string()));
  auto parsed = json::ParseObject(text);
  if (!parsed.ok()) {
    return Error{Code::kInternal, fmt::format("{} is not a configuration file: {}", path_.string(),
                                              parsed.message())};
  }
  others_ = std::move(*parsed);
  current_ = json::GetString(others_, "current");
  if (const auto* contexts = json::GetObject(others_, "contexts")) contexts_ = *contexts;
  return {};
}

Status ContextFile::Save() const {
  json::object all = others_;
  all["current"] = current_;
  all["contexts"] = contexts_;
  return WritePrivateFile(path_, PrettyJson(all) + "\n");
}

std::vector<std::string> ContextFile::names() const {
  std::vector<std::string> names;
  for (const auto& entry : contexts_) names.emplace_back(entry.key());
  return names;
}

const json::object* ContextFile::Find(std::string_view name) const {
  return json::GetObject(contexts_, name);
}

json::object& ContextFile::Edit(const std::string& name) {
  if (current_.empty()) current_ = name;
  json::value& context = contexts_[name];
  if (!context.is_object()) context = json::object();
  return context.as_object();
}

Error ContextFile::Unknown(std::string_view name) const {
  return {Code::kNotFound,
          fmt::format("{} has no context '{}'; make it with `dispatch context set {} --host HOST`, "
                      "or see `dispatch context list`",
                      path_.string(), name, name)};
}

Status ContextFile::Use(const std::string& name) {
  if (Find(name) == nullptr) return Unknown(name);
  current_ = name;
  return {};
}

Status ContextFile::Remove(const std::string& name) {
  if (Find(name) == nullptr) return Unknown(name);
  contexts_.erase(name);
  if (current_ == name) current_.clear();
  return {};
}

}  // namespace dispatch::cli
