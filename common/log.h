#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace dispatch::log {

enum class Format { kText, kJson };

/// Sets glog up: stderr, one line a fact. Call once, first in main. `service` is in every line.
void Init(std::string_view service, Format format);

enum class Level { kInfo, kWarning, kError };

/// Writes one line. `message` is a short constant text followed by key=value fields, as in
/// `Info("partition assigned topic={} partition={}", t, p)`. Never pass a secret. Thread-safe.
void Write(Level level, std::string message);

template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Warning(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

/// True at most `per_second` times a second for each distinct `site` (a string literal): for hot
/// paths, `if (log::Sometimes("matcher.bad-record")) log::Warning(...)`. Thread-safe.
bool Sometimes(std::string_view site, int per_second = 1);

}  // namespace dispatch::log
