#include "function-manager/src/domain/retry_schedule.h"

#include <algorithm>
#include <cmath>

namespace dispatch {

std::optional<std::chrono::milliseconds> NextDelay(const schema::RetryPolicy& policy,
                                                   int32_t attempts, std::chrono::milliseconds age,
                                                   const Answer& answer, double random) {
  if (attempts >= policy.max_attempts) return std::nullopt;
  double backoff = static_cast<double>(policy.min_backoff.count()) *
                   std::pow(std::max(1.0, policy.factor), std::max(0, attempts - 1));
  backoff = std::min(backoff, static_cast<double>(policy.max_backoff.count()));
  backoff *= 1.0 - std::clamp(policy.jitter, 0.0, 1.0) * random;
  std::chrono::milliseconds delay(static_cast<int64_t>(backoff));
  bool obeyed = answer.status == 429 || answer.status == 503;
  if (obeyed && answer.retry_after) delay = std::max(delay, *answer.retry_after);
  if (age + delay > policy.max_age) return std::nullopt;
  return delay;
}

}  // namespace dispatch
