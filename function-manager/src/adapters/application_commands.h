#pragma once

#include <functional>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `application.create|update|delete`: names that objects are grouped by with the tag Application.
/// Nothing refers to one, so that one may go while objects still have its tag, as VMware has it.
class ApplicationCommands {
 public:
  ApplicationCommands(Loop& loop, pg::Pool& pool, std::function<void()> committed)
      : loop_(loop), pool_(pool), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Write(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  std::function<void()> committed_;
};

}  // namespace dispatch
