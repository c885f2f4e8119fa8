#pragma once

#include <functional>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `api.create|update|delete`: functions behind HTTP requests, which api-gateway serves from the
/// state topic. One that would take another's requests is refused, across organisations too.
class ApiCommands {
 public:
  ApiCommands(Loop& loop, pg::Pool& pool, std::function<void()> committed)
      : loop_(loop), pool_(pool), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Write(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  /// `status` is what VMware's clients see of a change that the gateways are yet to follow.
  Responder Committing(Responder respond, const char* status);

  Loop& loop_;
  pg::Pool& pool_;
  std::function<void()> committed_;
};

}  // namespace dispatch
