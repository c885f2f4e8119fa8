#pragma once

#include <functional>
#include <string>

#include "broker-adapters/state_table.h"
#include "event-manager/src/domain/match_engine.h"

namespace dispatch {

/// Tells the engine of topics and subscriptions as event-manager's own state topic has them, so
/// that every instance learns alike, from one order of changes. Set before the table starts.
void FeedEngine(broker::StateTable& table, MatchEngine& engine);

/// Calls `appeared` for every organisation, and `gone` for every deletion of one.
void FollowOrganizations(broker::StateTable& table,
                         std::function<void(const std::string& org)> appeared,
                         std::function<void(const std::string& org)> gone);

}  // namespace dispatch
