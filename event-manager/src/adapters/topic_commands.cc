#include "event-manager/src/adapters/topic_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "event-manager/src/adapters/drivers/driver_commands.h"
#include "event-manager/src/adapters/replays.h"
#include "event-manager/src/domain/object_requests.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kSubscriptionKind;
using schema::kTopicKind;

// The first subscription or driver that uses the topic, if any.
Result<std::string> UserOf(EntityStore& store, const std::string& org, const std::string& topic) {
  ASSIGN_OR_RETURN(auto subscriptions, store.List(kSubscriptionKind, org));
  for (const auto& s : subscriptions) {
    if (json::GetString(s.document, "topic", "default") == topic ||
        json::GetString(s.document, "deadLetterTopic") == topic) {
      return "subscription '" + s.name + "'";
    }
  }
  return DriverUsing(store, org, topic);
}

// The topic, for an update; kConflict when growing it would break a subscription's order.
Result<StoredEntity> LockForUpdate(pg::Transaction& tx, const std::string& org,
                                   const std::string& name, int64_t partitions,
                                   bool allow_reorder) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto topic, store.Lock(kTopicKind, org, name));
  if (allow_reorder || partitions <= json::GetInt(topic.document, "partitions", 1)) return topic;
  ASSIGN_OR_RETURN(auto subscriptions, store.List(kSubscriptionKind, org));
  for (const auto& s : subscriptions) {
    if (json::GetString(s.document, "topic", "default") != name) continue;
    if (json::GetString(s.document, "ordering") != "key") continue;
    return Error{Code::kConflict,
                 "more partitions would move keys, and subscription '" + s.name +
                     "' has them in order; add ?allowReorder=true when that does not matter"};
  }
  return topic;
}

Result<StoredEntity> MarkDeleting(pg::Transaction& tx, const std::string& org,
                                  const std::string& name, std::optional<int64_t> if_match) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto topic, store.Lock(kTopicKind, org, name));
  ASSIGN_OR_RETURN(auto user, UserOf(store, org, name));
  if (!user.empty()) {
    return Error{Code::kConflict,
                 "topic '" + name + "' is used by " + user + "; delete that first"};
  }
  topic.document["status"] = "DELETING";
  RETURN_IF_ERROR(store.Update(topic, if_match));
  return topic;
}

// The subscriptions at once; the topics are returned, marked.
Result<std::vector<StoredEntity>> ClearOrganization(pg::Transaction& tx, const std::string& org) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto subscriptions, store.List(kSubscriptionKind, org));
  RETURN_IF_ERROR(ClearDrivers(tx, org));
  for (auto& subscription : subscriptions) {
    RETURN_IF_ERROR(store.Delete(subscription, std::nullopt));
    RETURN_IF_ERROR(DeleteReplays(store, subscription));
  }
  ASSIGN_OR_RETURN(auto topics, store.List(kTopicKind, org));
  for (auto& topic : topics) {
    topic.document["status"] = "DELETING";
    RETURN_IF_ERROR(store.Update(topic, std::nullopt));
  }
  return topics;
}

}  // namespace

void TopicCommands::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("topic.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  handle("topic.update", [this](const auto& r, auto d) { Update(r, std::move(d)); });
  handle("topic.delete", [this](const auto& r, auto d) { Delete(r, std::move(d)); });
}

void TopicCommands::EnsureDefault(const std::string& org) {
  pool_.Query<bool>(
      [org](pg::Transaction& tx) -> Result<bool> {
        ASSIGN_OR_RETURN(auto found, EntityStore(tx).Find(kTopicKind, org, "default"));
        return found.has_value();
      },
      [this, org](Result<bool> found) {
        if (found.ok() && *found) return;
        auto retry = [this, org](const std::string& why) {
          log::Warning("default topic not made yet org={} error=\"{}\"", org, why);
          loop_.After(std::chrono::seconds(2), [this, org] { EnsureDefault(org); });
        };
        if (!found.ok()) return retry(found.message());
        schema::Request request;
        request.org = org;
        request.body = R"({"name": "default"})";
        Create(request, [retry](Result<broker::RpcReply> reply) {
          if (!reply.ok() && reply.code() != Code::kAlreadyExists) retry(reply.message());
        });
      });
}

void TopicCommands::RemoveOrganization(const std::string& org) {
  auto retry = [this, org](const std::string& why) {
    log::Warning("objects of a deleted organization not removed yet org={} error=\"{}\"", org, why);
    loop_.After(std::chrono::seconds(2), [this, org] { RemoveOrganization(org); });
  };
  pool_.Query<std::vector<StoredEntity>>(
      [org](pg::Transaction& tx) { return ClearOrganization(tx, org); },
      [this, retry](Result<std::vector<StoredEntity>> topics) {
        if (!topics.ok()) return retry(topics.message());
        committed_();
        for (StoredEntity& topic : *topics) {
          Erase({}, std::move(topic), [retry](Result<broker::RpcReply> erased) {
            if (!erased.ok() && erased.code() != Code::kNotFound) retry(erased.message());
          });
        }
      });
}

void TopicCommands::Create(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = TopicDocument(*body);
  if (!document.ok()) return respond(document.error());
  std::string name = json::GetString(*document, "name");
  // The name first: Kafka's topic of another incarnation must not be taken over by mistake.
  pool_.Query<bool>(
      [org = request.org, name](pg::Transaction& tx) -> Result<bool> {
        ASSIGN_OR_RETURN(auto found, EntityStore(tx).Find(kTopicKind, org, name));
        return found.has_value();
      },
      [this, request, name, document = std::move(*document),
       respond = std::move(respond)](Result<bool> taken) mutable {
        if (!taken.ok()) return respond(taken.error());
        if (*taken) {
          return respond(Error{Code::kAlreadyExists, "topic '" + name +
                                                         "' exists already; choose another name, "
                                                         "or update it"});
        }
        broker::TopicSpec spec;
        spec.name = broker::EventTopic(request.org, name);
        spec.partitions = static_cast<int32_t>(json::GetInt(document, "partitions", 4));
        spec.replication_factor = replication_factor_;
        spec.config = TopicConfig(document);
        if (replication_factor_ >= 3) spec.config.emplace_back("min.insync.replicas", "2");
        broker_.admin().CreateTopic(spec, [this, request, spec, document = std::move(document),
                                           respond = std::move(respond)](Status created) mutable {
          if (created.ok()) return Insert(request, std::move(document), std::move(respond));
          if (created.code() != Code::kAlreadyExists) return respond(created.error());
          // Left by a create that crashed before its entity, or made by hand: adopt it as it is.
          broker_.admin().DescribeTopic(
              spec.name, [this, request, document = std::move(document),
                          respond = std::move(respond)](Result<broker::TopicInfo> info) mutable {
                if (!info.ok()) {
                  return respond(Error{Code::kConflict,
                                       "Kafka has a topic whose name differs only by '.' and "
                                       "'_'; choose another name"});
                }
                document["partitions"] = info->partitions;
                Insert(request, std::move(document), std::move(respond));
              });
        });
      });
}

void TopicCommands::Insert(const schema::Request& request, json::object document,
                           Responder respond) {
  StoredEntity entity;
  entity.kind = kTopicKind;
  entity.org = request.org;
  entity.name = json::GetString(document, "name");
  entity.uuid = Uuid::V7(loop_.Now());
  entity.document = std::move(document);
  entity.document["status"] = "READY";
  entity.document["createdTime"] = ToMillis(loop_.Now()) / 1000;
  AnswerWithEntity(
      pool_, request,
      [entity](pg::Transaction& tx) -> Result<StoredEntity> {
        StoredEntity stored = entity;
        RETURN_IF_ERROR(EntityStore(tx).Insert(stored));
        return stored;
      },
      [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
        committed_();
        respond(std::move(reply));
      });
}

void TopicCommands::Update(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  bool allow_reorder = json::GetBool(*body, "allowReorder");
  body->erase("allowReorder");
  auto document = TopicDocument(*body);
  if (!document.ok()) return respond(document.error());
  std::string name = json::GetString(*document, "name");
  int64_t partitions = json::GetInt(*document, "partitions", 0);
  pool_.Query<StoredEntity>(
      [org = request.org, name, partitions, allow_reorder](pg::Transaction& tx) {
        return LockForUpdate(tx, org, name, partitions, allow_reorder);
      },
      [this, request, name, document = std::move(*document),
       respond = std::move(respond)](Result<StoredEntity> entity) mutable {
        if (!entity.ok()) return respond(entity.error());
        if (request.if_match && *request.if_match != entity->version) {
          return respond(Error{Code::kPreconditionFailed, "topic '" + name + "' is at revision " +
                                                              std::to_string(entity->version) +
                                                              "; read it again"});
        }
        int64_t now = json::GetInt(entity->document, "partitions", 1);
        int64_t wanted = json::GetInt(document, "partitions", now);
        std::string kafka = broker::EventTopic(entity->org, name);
        if (wanted < now) {
          return respond(Error{Code::kUnprocessable,
                               "partitions cannot shrink: the topic has " + std::to_string(now),
                               false,
                               {{"partitions", "must be at least " + std::to_string(now)}}});
        }
        auto configure = [this, request, kafka, entity = *entity, document,
                          respond](Status grown) mutable {
          if (!grown.ok()) return respond(grown.error());
          broker_.admin().ConfigureTopic(
              kafka, TopicConfig(document),
              [this, request, entity, document, respond](Status configured) mutable {
                if (!configured.ok()) return respond(configured.error());
                Write(request, std::move(entity), std::move(document), std::move(respond));
              });
        };
        if (wanted == now) return configure({});
        broker_.admin().GrowTopic(kafka, static_cast<int32_t>(wanted), configure);
      });
}

void TopicCommands::Write(const schema::Request& request, StoredEntity entity,
                          json::object document, Responder respond) {
  document["status"] = "READY";
  document["createdTime"] = json::GetInt(entity.document, "createdTime");
  document["modifiedTime"] = ToMillis(loop_.Now()) / 1000;
  AnswerWithEntity(
      pool_, request,
      [entity, document, if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kTopicKind, entity.org, entity.name));
        stored.document = document;
        RETURN_IF_ERROR(store.UpdateIfChanged(stored, if_match));
        return stored;
      },
      [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
        committed_();
        respond(std::move(reply));
      });
}

void TopicCommands::Delete(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string name = json::GetString(*body, "name");
  if (name == "default") {
    return respond(Error{Code::kConflict, "every organization has the topic 'default'"});
  }
  // Marked first: from then on no subscription can come to it.
  pool_.Query<StoredEntity>(
      [org = request.org, name, if_match = request.if_match](pg::Transaction& tx) {
        return MarkDeleting(tx, org, name, if_match);
      },
      [this, request, respond = std::move(respond)](Result<StoredEntity> topic) mutable {
        if (!topic.ok()) return respond(topic.error());
        committed_();
        Erase(request, std::move(*topic), std::move(respond));
      });
}

void TopicCommands::Erase(const schema::Request& request, StoredEntity topic, Responder respond) {
  broker_.admin().DeleteTopic(
      broker::EventTopic(topic.org, topic.name),
      [this, request, topic, respond = std::move(respond)](Status deleted) mutable {
        if (!deleted.ok() && deleted.code() != Code::kNotFound) return respond(deleted.error());
        AnswerWithEntity(
            pool_, request,
            [org = topic.org, name = topic.name](pg::Transaction& tx) -> Result<StoredEntity> {
              EntityStore store(tx);
              ASSIGN_OR_RETURN(auto stored, store.Lock(kTopicKind, org, name));
              RETURN_IF_ERROR(store.Delete(stored, std::nullopt));
              return stored;
            },
            [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
              committed_();
              respond(std::move(reply));
            });
      });
}

}  // namespace dispatch
