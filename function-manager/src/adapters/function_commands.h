#pragma once

#include <functional>

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/domain/function_request.h"

namespace dispatch {

/// `function.create|update|delete|rollback`: functions that the user runs (runtime `http` and a
/// URL) are READY at once, those that are run here (`process`) when FunctionWorker proved them.
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
  void Rollback(const schema::Request& request, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  void Remove(const schema::Request& request, const std::string& function, Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
  std::function<void()> committed_;
};

}  // namespace dispatch
