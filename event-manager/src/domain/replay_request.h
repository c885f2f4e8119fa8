#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "event-manager/src/domain/object_requests.h"

namespace dispatch {

/// What a user asks to be replayed: {"name": of the subscription, "from", "to", "filter", "rate"}.
struct ReplayRequest {
  StartAt from;
  StartAt to;  // kLatest: what is there now
  std::string filter;
  std::optional<int64_t> rate;  // events a second
};

/// kUnprocessable with every fault: `from` is required; both are places as `start` has them, or a
/// time as text; `filter` is a CESQL expression; `rate` 1 to 1,000,000.
Result<ReplayRequest> ParseReplayRequest(const json::object& request);

/// The stored form of a replay of a stored subscription: a subscription of its own, with the
/// target, the filters and the settings of that one, from `begins` to `ends` (per partition). A
/// partition that ends before it begins has nothing.
json::object ReplayDocument(const json::object& subscription, const ReplayRequest& request,
                            const json::object& given, const std::vector<int64_t>& begins,
                            std::vector<int64_t> ends);

/// Puts the target and the settings that a subscription has now into a replay of it.
void FollowSubscription(const json::object& subscription, json::object& replay);

}  // namespace dispatch
