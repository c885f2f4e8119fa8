#pragma once

#include <functional>
#include <string>

#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pg/pool.h"

namespace dispatch {

/// Looks for a subscription or a driver of the organisation that `uses` says uses something, and
/// runs `done` with what it is, as "subscription 'orders'", or with nothing. Looks again for a
/// second when it finds one: it may have been deleted a moment ago.
void FindUser(Loop& loop, const broker::StateTable& events, const std::string& org,
              std::function<bool(const json::object& document)> uses,
              std::function<void(const std::string& user)> done, int looks = 5);

/// The same of an object of `kind` whose `field` is `name`.
Result<std::string> FindReference(pg::Transaction& tx, const std::string& kind,
                                  const std::string& org, const std::string& field,
                                  const std::string& name);
/// The same of a function whose serving version, or the one being made, is given a secret.
Result<std::string> FindFunctionWith(pg::Transaction& tx, const std::string& org,
                                     const std::string& secret);

/// "KIND 'NAME' is used by USER; delete that first".
Error InUse(const std::string& kind, const std::string& name, const std::string& user);

}  // namespace dispatch
