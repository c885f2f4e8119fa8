#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/pg/pool.h"
#include "event-manager/src/adapters/log_places.h"
#include "event-manager/src/domain/object_requests.h"

namespace dispatch {

/// `subscription.create|update|delete|pause|resume|rewind|permit|disable`. Creating fixes the
/// boundary offset of each partition before the answer, so that what is accepted after the 201 is
/// matched, whoever owns the partitions and whenever they learn of it. One owner.
class SubscriptionCommands {
 public:
  SubscriptionCommands(broker::Broker& broker, Loop& loop, pg::Pool& pool,
                       std::function<void()> committed)
      : loop_(loop), pool_(pool), places_(broker, loop), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;
  using Boundaries = LogPlaces::Boundaries;
  using Change = std::function<Status(json::object& document)>;
  /// In the same transaction, with the subscription as it was written.
  using Also = std::function<Status(EntityStore& store, const StoredEntity& subscription)>;

  void Create(const schema::Request& request, Responder respond);
  void Update(const schema::Request& request, Responder respond);
  void Replace(const schema::Request& request, const std::string& name, json::object document,
               const Boundaries& ends, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  void SetPaused(const schema::Request& request, bool paused, Responder respond);
  /// {"name", "to"}: a new generation with new boundaries.
  void Rewind(const schema::Request& request, Responder respond);
  /// {"name", "url", "allowed", "rate", "reason"}: what the endpoint said in the handshake.
  void Permit(const schema::Request& request, Responder respond);
  void Disable(const schema::Request& request, Responder respond);
  /// The ends of the subscription's topic now: where a pause or a change of filters begins.
  void FindEnds(const std::string& org, const std::string& name,
                std::function<void(Result<Boundaries>)> done) {
    FindPlaces(org, name, StartAt{}, std::move(done));
  }
  /// Where `start` is in the subscription's topic.
  void FindPlaces(const std::string& org, const std::string& name, const StartAt& start,
                  std::function<void(Result<Boundaries>)> done);

  void Insert(const schema::Request& request, json::object document, const StoredEntity& topic,
              const Boundaries& boundaries, Responder respond);
  /// Locks the subscription, applies `change`, writes it back.
  void Apply(const schema::Request& request, const std::string& name, Change change,
             Responder respond, Also also = {});

  Loop& loop_;
  pg::Pool& pool_;
  LogPlaces places_;
  std::function<void()> committed_;
};

}  // namespace dispatch
