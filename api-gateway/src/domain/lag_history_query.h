#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/http/message.h"
#include "common/result.h"

namespace dispatch::gateway {

/// What GET /v1/lag/history asks for: `count` steps from `from` on, of these subscriptions.
struct LagHistoryQuery {
  static constexpr size_t kMostNames = 50;
  static constexpr int64_t kMostPoints = 1'500;

  std::vector<std::string> subscriptions;
  WallTime from{};  // a multiple of the step
  std::chrono::milliseconds step{};
  int64_t count = 0;
  bool partitions = false;

  WallTime to() const { return from + count * step; }
};

/// `subscription` (1 to 50), `from` (an hour before `to`), `to` (now), `step` (the shortest one
/// that makes at most 360 points), `partitions` (false). Errors name the parameter.
Result<LagHistoryQuery> ReadLagHistoryQuery(const http::Request& request, WallTime now);

}  // namespace dispatch::gateway
