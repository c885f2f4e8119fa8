#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "broker-adapters/broker.h"
#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `topic.create|update|delete`: topics as entities and as Kafka topics. Kafka's topic is made
/// before the entity and deleted before it, so that a topic that users see is there; a crash
/// between leaves something that the same request mends. One owner.
class TopicCommands {
 public:
  TopicCommands(broker::Broker& broker, Loop& loop, pg::Pool& pool, int16_t replication_factor,
                std::function<void()> committed)
      : broker_(broker),
        loop_(loop),
        pool_(pool),
        replication_factor_(replication_factor),
        committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

  /// Makes the topic `default` of an organisation when it is missing.
  void EnsureDefault(const std::string& org);

  /// Removes what a deleted organisation left here; tries until it is done. Its name is not given
  /// again.
  void RemoveOrganization(const std::string& org);

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(const schema::Request& request, Responder respond);
  void Update(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  // Of a topic that is marked: Kafka's topic, then the entity.
  void Erase(const schema::Request& request, StoredEntity topic, Responder respond);
  void Insert(const schema::Request& request, json::object document, Responder respond);
  void Write(const schema::Request& request, StoredEntity entity, json::object document,
             Responder respond);

  broker::Broker& broker_;
  Loop& loop_;
  pg::Pool& pool_;
  int16_t replication_factor_;
  std::function<void()> committed_;
};

}  // namespace dispatch
