#include "function-manager/src/adapters/dead_letter_rows.h"

#include <limits>

#include "schema/objects.h"

namespace dispatch {

std::vector<pg::Value> LetterFilterParams(const Uuid& subscription,
                                          const DeadLetterFilter& filter) {
  auto at = filter.at.value_or(std::pair<int32_t, int64_t>(-1, -1));
  return {subscription.ToString(),
          filter.reason,
          filter.type,
          std::to_string(filter.status.value_or(-1)),
          std::to_string(filter.since_ms.value_or(std::numeric_limits<int64_t>::min())),
          std::to_string(filter.until_ms.value_or(std::numeric_limits<int64_t>::max())),
          std::to_string(at.first),
          std::to_string(at.second)};
}

Result<Uuid> SubscriptionOf(const broker::StateTable& subscriptions, const schema::Request& request,
                            const json::object& body) {
  std::string name = json::GetString(body, "subscription");
  auto entity = subscriptions.Find(schema::kSubscriptionKind, request.org + "/" + name);
  if (entity == nullptr) {
    // The gateway found it: we have not heard of it yet.
    auto told = Uuid::Parse(json::GetString(body, "subscriptionId"));
    if (told.ok()) return *told;
    return Error{Code::kNotFound, "subscription '" + name + "' does not exist"};
  }
  return entity->uuid;
}

}  // namespace dispatch
