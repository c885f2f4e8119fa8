#pragma once

#include <chrono>
#include <cstdint>

#include "common/pg/pool.h"

namespace dispatch {

/// The tables of attempts are partitions by *slice*, a stretch of time, and dropped whole. There
/// are two kinds: what is kept for the retention, and the window of successes, which is bounded by
/// time and bytes. Any instance makes and drops them, one at a time.
struct SliceLimits {
  std::chrono::milliseconds kept{std::chrono::hours(72)};
  std::chrono::milliseconds window{std::chrono::hours(24)};
  int64_t window_bytes = int64_t{1} << 30;
};

/// Those that are written to.
struct OpenSlices {
  int64_t kept = 0;
  int64_t window = 0;
};

/// Begins slices when it is time, drops those whose time is over, and answers the open ones. A
/// slice lasts a twelfth of its kind's time; one of the window also ends with an eighth of the
/// bytes. Fails, to be called again, when readers are in the way for long.
Result<OpenSlices> TendSlices(pg::Transaction& tx, const SliceLimits& limits, int64_t now_ms);

}  // namespace dispatch
