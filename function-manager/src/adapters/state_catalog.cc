#include "function-manager/src/adapters/state_catalog.h"

#include "function-manager/src/domain/function_event.h"

namespace dispatch {

namespace {
// An unknown subscription with a cache that is this fresh, for this long, cannot come any more.
constexpr Duration kFresh = std::chrono::seconds(3);
constexpr Duration kPatience = std::chrono::seconds(5);
constexpr size_t kMaxDeleted = 100'000;
}  // namespace

StateCatalog::StateCatalog(broker::StateTable& subscriptions, broker::StateTable& functions,
                           OnSubscription changed)
    : table_(subscriptions), changed_(std::move(changed)) {
  subscriptions.OnChanged([this](const std::string& kind, const std::string&,
                                 const std::shared_ptr<const broker::Entity>& before,
                                 const std::shared_ptr<const broker::Entity>& entity) {
    if (kind == schema::kSubscriptionKind) SubscriptionChanged(before, entity);
    if (kind == schema::kReplayKind) ReplayChanged(before, entity);
  });
  functions.OnChanged([this](const std::string& kind, const std::string& key,
                             const std::shared_ptr<const broker::Entity>&,
                             const std::shared_ptr<const broker::Entity>& entity) {
    if (kind != schema::kFunctionKind) return;
    if (entity == nullptr) {
      functions_.erase(key);
    } else {
      functions_[key] = schema::ParseFunction(entity->uuid, entity->org, entity->name,
                                              entity->version, entity->document);
    }
  });
}

void StateCatalog::SubscriptionChanged(const std::shared_ptr<const broker::Entity>& before,
                                       const std::shared_ptr<const broker::Entity>& entity) {
  if (before != nullptr && (entity == nullptr || entity->uuid != before->uuid)) {
    subscriptions_.erase(before->uuid);
    // Forgetting it only means that a late target waits for the cache's word once more.
    if (deleted_.size() >= kMaxDeleted) deleted_.clear();
    deleted_.insert(before->uuid);
    changed_(before->uuid);
  }
  if (entity == nullptr) return;
  bool replay = entity->kind == schema::kReplayKind;
  subscriptions_[entity->uuid] = std::make_shared<const schema::Subscription>(
      replay ? schema::ParseReplay(entity->uuid, entity->org, entity->version, entity->document)
             : schema::ParseSubscription(entity->uuid, entity->org, entity->name, entity->version,
                                         entity->document));
  changed_(entity->uuid);
}

// A replay is delivered as a subscription of its own. A cancelled one counts as deleted.
void StateCatalog::ReplayChanged(const std::shared_ptr<const broker::Entity>& before,
                                 const std::shared_ptr<const broker::Entity>& entity) {
  bool cancelled = entity != nullptr && schema::IsCancelledReplay(entity->document);
  SubscriptionChanged(cancelled ? entity : before, cancelled ? nullptr : entity);
}

Catalog::Lookup StateCatalog::Find(const Uuid& subscription, int64_t version,
                                   Duration waited) const {
  auto it = subscriptions_.find(subscription);
  if (it != subscriptions_.end()) {
    if (it->second->version < version) return {Known::kNotYet, nullptr};
    return {Known::kPresent, it->second};
  }
  bool gone = deleted_.contains(subscription) || (waited >= kPatience && table_.age() < kFresh);
  return {gone ? Known::kDeleted : Known::kNotYet, nullptr};
}

std::optional<schema::Sink> StateCatalog::SinkOf(const schema::Subscription& subscription) const {
  if (subscription.awaits_permission) return std::nullopt;
  if (subscription.sink) {
    auto sink = subscription.sink;
    sink->reply_topic = subscription.reply_topic;
    return sink;
  }
  auto it = functions_.find(subscription.org + "/" + subscription.function);
  if (it == functions_.end() || !it->second.serves) return std::nullopt;
  schema::Sink sink;
  // What is not an endpoint of the user's is run here.
  sink.url = it->second.url.empty() ? FunctionUrl(subscription.org, subscription.function)
                                    : it->second.url;
  sink.reply_topic = subscription.reply_topic;
  sink.secrets = subscription.secrets;
  return sink;
}

}  // namespace dispatch
