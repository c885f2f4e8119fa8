#include "function-manager/src/domain/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace dispatch {

namespace {
constexpr std::chrono::milliseconds kMaxRetryAfter = std::chrono::hours(24);
}

Effect EffectOf(const Answer& answer) {
  if (answer.status == 0) return answer.hopeless ? Effect::kReject : Effect::kRetry;
  if (answer.status >= 200 && answer.status < 300) return Effect::kDelivered;
  if (answer.status == 410) return Effect::kGone;
  bool retry =
      answer.status == 408 || answer.status == 425 || answer.status == 429 || answer.status >= 500;
  return retry ? Effect::kRetry : Effect::kReject;
}

std::string Describe(const Answer& answer, std::string_view url) {
  // Without the path and query: they may carry what is nobody else's business.
  size_t scheme = url.find("://");
  size_t end = scheme == std::string_view::npos ? url.size() : url.find_first_of("/?#", scheme + 3);
  std::string_view origin = url.substr(0, end);
  if (answer.status != 0) return fmt::format("{} from {}", answer.status, origin);
  if (answer.message.empty()) return fmt::format("{}: {}", answer.failure, origin);
  return fmt::format("{}: {} ({})", answer.failure, origin, answer.message);
}

std::optional<std::chrono::milliseconds> ParseRetryAfter(std::string_view value, int64_t now_s) {
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size()) {
    std::tm tm{};
    std::string text(value);
    if (strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm) == nullptr) return std::nullopt;
    seconds = static_cast<int64_t>(timegm(&tm)) - now_s;
  }
  seconds = std::clamp<int64_t>(seconds, 0, 24 * 3600);
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(seconds), kMaxRetryAfter);
}

}  // namespace dispatch
