#pragma once

#include <functional>

#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `function.create|update|delete` for functions that the user runs: runtime `http` and a URL.
class FunctionCommands {
 public:
  FunctionCommands(Loop& loop, pg::Pool& pool, std::function<void()> committed)
      : loop_(loop), pool_(pool), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(const schema::Request& request, Responder respond);
  void Update(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  Responder Committing(Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  std::function<void()> committed_;
};

}  // namespace dispatch
