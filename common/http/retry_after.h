#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace dispatch::http {

/// Retry-After (RFC 9110 section 10.2.3): seconds, or an HTTP date against `now_s` (unix seconds).
/// Capped at 24 hours; nothing when it does not parse.
std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, int64_t now_s);

}  // namespace dispatch::http
