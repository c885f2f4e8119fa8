#pragma once

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"

namespace dispatch {

/// What users ask about deliveries: `delivery.byPosition` {topicUuid, partition, offset} and
/// `delivery.list` {subscription, status, since, limit}.
class DeliveryQueries {
 public:
  DeliveryQueries(pg::Pool& pool, const broker::StateTable& subscriptions)
      : pool_(pool), subscriptions_(subscriptions) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void ByPosition(const schema::Request& request, Responder respond);
  void List(const schema::Request& request, Responder respond);
  void Answer(std::function<Result<json::value>(pg::Transaction&)> read, Responder respond);

  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
};

}  // namespace dispatch
