#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dispatch {

/// One look at a subscription's lag, as its stored history has it; or, of a longer time, the worst
/// of several.
struct LagPoint {
  int64_t at_ms = 0;
  int64_t waiting = 0;          // unread and under way
  int64_t oldest_seconds = 0;   // age of the oldest of them; 0: there is none
  int64_t settled = 0;          // since the subscription was made
  std::vector<int64_t> unread;  // by partition
  bool operator==(const LagPoint&) const = default;
};

/// Points in a column, by time; `begun_ms` is not after the first. Times are kept to the second.
/// Most of a row is differences of a byte: see docs/capacity.md.
std::string PackLag(int64_t begun_ms, const std::vector<LagPoint>& points);
Result<std::vector<LagPoint>> UnpackLag(int64_t begun_ms, std::string_view packed);

/// One point for each `step_ms` in which there are any, at its beginning: the most that waited, in
/// all and in each partition, the oldest, and what was settled at its end.
std::vector<LagPoint> CoarsenLag(const std::vector<LagPoint>& points, int64_t step_ms);

/// Points as a chart has them: one value for each step, nothing where nobody looked.
struct LagSeries {
  template <typename Value>
  using Values = std::vector<std::optional<Value>>;
  Values<int64_t> waiting;
  Values<int64_t> oldest_seconds;
  Values<double> settled_rate;          // a second
  std::vector<Values<int64_t>> unread;  // of each partition
};
/// `points` by time; those outside of the `count` steps from `from_ms` on are left out.
LagSeries DrawLag(const std::vector<LagPoint>& points, int64_t from_ms, int64_t step_ms,
                  size_t count);

}  // namespace dispatch
