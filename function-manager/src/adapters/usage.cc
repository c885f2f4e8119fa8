#include "function-manager/src/adapters/usage.h"

#include "schema/objects.h"

namespace dispatch {

void FindUser(Loop& loop, const broker::StateTable& subscriptions, const std::string& org,
              std::function<bool(const json::object& subscription)> uses,
              std::function<void(const std::string& user)> done, int looks) {
  std::string user;
  subscriptions.ForEach(schema::kSubscriptionKind, [&](const auto& entity) {
    if (entity->org == org && uses(entity->document)) user = entity->name;
  });
  if (user.empty() || looks <= 1) return done(user);
  loop.After(std::chrono::milliseconds(200), [&loop, &subscriptions, org, uses = std::move(uses),
                                              done = std::move(done), looks]() mutable {
    FindUser(loop, subscriptions, org, std::move(uses), std::move(done), looks - 1);
  });
}

}  // namespace dispatch
