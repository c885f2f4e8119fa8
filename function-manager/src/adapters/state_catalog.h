#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "broker-adapters/state_table.h"
#include "function-manager/src/domain/catalog.h"

namespace dispatch {

/// The Catalog over the state topics of event-manager (subscriptions) and function-manager
/// (functions). One owner.
class StateCatalog : public Catalog {
 public:
  using OnSubscription = std::function<void(const Uuid& subscription)>;

  /// Sets the tables' change handlers; call before they start.
  StateCatalog(broker::StateTable& subscriptions, broker::StateTable& functions,
               OnSubscription changed);

  Lookup Find(const Uuid& subscription, int64_t version, Duration waited) const override;
  std::optional<schema::Sink> SinkOf(const schema::Subscription& subscription) const override;

 private:
  void SubscriptionChanged(const std::shared_ptr<const broker::Entity>& before,
                           const std::shared_ptr<const broker::Entity>& entity);

  void ReplayChanged(const std::shared_ptr<const broker::Entity>& before,
                     const std::shared_ptr<const broker::Entity>& entity);

  broker::StateTable& table_;
  OnSubscription changed_;
  std::unordered_map<Uuid, std::shared_ptr<const schema::Subscription>> subscriptions_;
  std::unordered_set<Uuid> deleted_;
  std::unordered_map<std::string, schema::Function> functions_;  // by org/name
};

}  // namespace dispatch
