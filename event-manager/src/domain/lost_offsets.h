#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "broker-adapters/offset_tracker.h"

namespace dispatch {

/// Of a reader whose position retention passed, with nothing under way. An owner before may have
/// completed some of what is gone, and some of what comes: that is neither lost nor new.

/// How many of the offsets [first, last) are not complete.
inline int64_t NotComplete(const OffsetTracker& tracker, int64_t first, int64_t last) {
  first = std::max(first, tracker.Position());
  if (first >= last) return 0;
  int64_t missing = last - first;
  for (const auto& [from, to] : tracker.Completed()) {
    missing -= std::max<int64_t>(0, std::min(last, to) - std::max(first, from));
  }
  return missing;
}

/// The tracker at `earliest` with what is complete beyond it.
inline OffsetTracker SkipTo(const OffsetTracker& tracker, int64_t earliest) {
  int64_t position = std::max(earliest, tracker.Position());
  std::vector<std::pair<int64_t, int64_t>> beyond;
  for (const auto& [from, to] : tracker.Completed()) {
    if (from <= position) {
      position = std::max(position, to);
    } else {
      beyond.emplace_back(from, to);
    }
  }
  return OffsetTracker::Restore(position, beyond, tracker.limits());
}

}  // namespace dispatch
