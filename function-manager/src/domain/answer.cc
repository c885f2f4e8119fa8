#include "function-manager/src/domain/answer.h"

#include <fmt/format.h>

namespace dispatch {

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

}  // namespace dispatch
