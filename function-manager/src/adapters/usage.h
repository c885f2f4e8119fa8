#pragma once

#include <functional>
#include <string>

#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/json.h"

namespace dispatch {

/// Looks for a subscription of the organisation that `uses` says uses something, and runs `done`
/// with its name, or with nothing. Looks again for a second when it finds one: it may have been
/// deleted a moment ago.
void FindUser(Loop& loop, const broker::StateTable& subscriptions, const std::string& org,
              std::function<bool(const json::object& subscription)> uses,
              std::function<void(const std::string& user)> done, int looks = 5);

}  // namespace dispatch
