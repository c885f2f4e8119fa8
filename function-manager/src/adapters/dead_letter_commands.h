#pragma once

#include <optional>

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// What users do with dead letters: `deadletter.list` {subscription, a filter's fields, limit,
/// cursor}, `deadletter.get` {subscription, id} and `deadletter.purge` {subscription, a filter's
/// fields}, which removes at most 10,000 and answers {purged, left}.
class DeadLetterCommands {
 public:
  DeadLetterCommands(Loop& loop, pg::Pool& pool, const broker::StateTable& subscriptions)
      : loop_(loop), pool_(pool), subscriptions_(subscriptions) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void List(const schema::Request& request, Responder respond);
  void Get(const schema::Request& request, Responder respond);
  void Purge(const schema::Request& request, Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
};

}  // namespace dispatch
