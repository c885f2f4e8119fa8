#pragma once

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"

namespace dispatch {

/// What users ask about deliveries: `delivery.byPosition` {topicUuid, partition, offset},
/// `delivery.list` {subscription, status, since, limit}, `deadletter.list` {subscription, limit,
/// cursor} and `deadletter.get` {subscription, id}.
class DeliveryQueries {
 public:
  DeliveryQueries(pg::Pool& pool, const broker::StateTable& subscriptions)
      : pool_(pool), subscriptions_(subscriptions) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void ByPosition(const schema::Request& request, Responder respond);
  void List(const schema::Request& request, Responder respond);
  void DeadLetterList(const schema::Request& request, Responder respond);
  void DeadLetterGet(const schema::Request& request, Responder respond);
  void Answer(std::function<Result<json::value>(pg::Transaction&)> read, Responder respond);
  /// The subscription that the request names, of its organisation.
  Result<Uuid> SubscriptionOf(const schema::Request& request, const json::object& body) const;

  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
};

}  // namespace dispatch
