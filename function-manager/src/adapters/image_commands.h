#pragma once

#include <functional>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `baseimage.create|update|delete` and `image.*`. What a change asks for is work of its own
/// (FunctionWorker): it is answered when it is written down.
class ImageCommands {
 public:
  /// `committed` runs after each change.
  ImageCommands(Loop& loop, pg::Pool& pool, std::function<void()> committed)
      : loop_(loop), pool_(pool), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(const std::string& kind, const schema::Request& request, Responder respond);
  void Update(const std::string& kind, const schema::Request& request, Responder respond);
  void Delete(const std::string& kind, const schema::Request& request, Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  std::function<void()> committed_;
};

}  // namespace dispatch
