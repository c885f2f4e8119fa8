#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "function-manager/src/domain/answer.h"
#include "schema/objects.h"

namespace dispatch {

/// When to try again after the `attempts`-th failed attempt (from 1): min_backoff x factor^(n-1),
/// at most max_backoff, less the jitter; no sooner than Retry-After of a 429 or 503. Nothing when
/// tries or age are used up. `random` is uniform in [0, 1).
std::optional<std::chrono::milliseconds> NextDelay(const schema::RetryPolicy& policy,
                                                   int32_t attempts, std::chrono::milliseconds age,
                                                   const Answer& answer, double random);

}  // namespace dispatch
