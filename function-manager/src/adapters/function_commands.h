#pragma once

#include <functional>

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `function.create|update|delete` for functions that the user runs: runtime `http` and a URL.
class FunctionCommands {
 public:
  FunctionCommands(Loop& loop, pg::Pool& pool, const broker::StateTable& subscriptions,
                   std::function<void()> committed)
      : loop_(loop), pool_(pool), subscriptions_(subscriptions), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(const schema::Request& request, Responder respond);
  void Update(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  void Remove(const schema::Request& request, const std::string& function, Responder respond);
  Responder Committing(Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
  std::function<void()> committed_;
};

}  // namespace dispatch
