#include "common/http/retry_after.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>

namespace dispatch::http {

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, int64_t now_s) {
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size()) {
    std::tm tm{};
    std::string text(value);
    if (strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm) == nullptr) return std::nullopt;
    seconds = static_cast<int64_t>(timegm(&tm)) - now_s;
  }
  return std::chrono::seconds(std::clamp<int64_t>(seconds, 0, 24 * 3600));
}

}  // namespace dispatch::http
