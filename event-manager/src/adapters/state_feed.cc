#include "event-manager/src/adapters/state_feed.h"

#include <memory>

namespace dispatch {

namespace {
using EntityPtr = std::shared_ptr<const broker::Entity>;
}

void FeedEngine(broker::StateTable& table, MatchEngine& engine) {
  table.OnChanged([&engine](const std::string& kind, const std::string&, const EntityPtr& before,
                            const EntityPtr& entity) {
    bool gone = before != nullptr && (entity == nullptr || entity->uuid != before->uuid);
    if (kind == schema::kTopicKind) {
      if (gone) engine.RemoveTopic(before->uuid);
      if (entity != nullptr) {
        engine.PutTopic(schema::ParseTopic(entity->uuid, entity->org, entity->name, entity->version,
                                           entity->document));
      }
    } else if (kind == schema::kSubscriptionKind) {
      if (gone) engine.RemoveSubscription(before->uuid);
      if (entity != nullptr) {
        engine.PutSubscription(schema::ParseSubscription(entity->uuid, entity->org, entity->name,
                                                         entity->version, entity->document));
      }
    } else if (kind == schema::kReplayKind) {
      if (gone) engine.RemoveSubscription(before->uuid);
      if (entity == nullptr) return;
      if (schema::IsRunningReplay(entity->document)) {
        engine.PutSubscription(
            schema::ParseReplay(entity->uuid, entity->org, entity->version, entity->document));
      } else {
        engine.RemoveSubscription(entity->uuid);
      }
    }
  });
}

void FollowOrganizations(broker::StateTable& table,
                         std::function<void(const std::string& org)> appeared,
                         std::function<void(const std::string& org)> gone) {
  table.OnChanged([appeared = std::move(appeared), gone = std::move(gone)](
                      const std::string& kind, const std::string& key, const EntityPtr& before,
                      const EntityPtr& entity) {
    if (kind != schema::kOrganizationKind) return;
    if (entity == nullptr) return gone(key.substr(0, key.find('/')));
    if (before == nullptr) appeared(entity->name);
  });
}

}  // namespace dispatch
