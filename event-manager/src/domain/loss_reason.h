#pragma once

#include <cstdint>
#include <map>

#include "common/clock.h"
#include "common/json.h"

namespace dispatch {

/// Puts into a stored subscription what retention took before it was read, in all and by partition:
/// into `reason`, for people, and into `internal.lost`. False, and nothing changes, when all of it
/// is known: a reason that a user's update cleared does not come back without a new loss.
bool NoteLoss(json::object& document, const std::map<int32_t, int64_t>& lost, WallTime now);

}  // namespace dispatch
