#pragma once

#include <functional>

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/secret_vault.h"
#include "function-manager/src/domain/secret_request.h"

namespace dispatch {

/// `secret.create|update|delete`, and `secret.open` for services. Requests carry the values as a
/// sealed box (`sealed`, base64, a JSON object); entities and replies carry their names only. One
/// owner.
class SecretCommands {
 public:
  SecretCommands(Loop& loop, pg::Pool& pool, const SecretVault& vault,
                 const broker::StateTable& subscriptions, std::function<void()> committed)
      : loop_(loop),
        pool_(pool),
        vault_(vault),
        subscriptions_(subscriptions),
        committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);
  /// Publishes the key to seal with, unless it is published already.
  void PublishSealingKey();
  /// Puts what keys of before encrypted under the one in use, now and then every minute.
  void KeepRewrapping();

 private:
  using Responder = broker::RpcServer::Responder;

  // Replaces the sealed box by what is in it, and what the request is told by (see Idempotency) by
  // a keyed hash: it is stored.
  Result<json::object> Open(schema::Request& request) const;
  void Write(const schema::Request& request, const json::object& body, Responder respond);
  void Delete(const schema::Request& request, Responder respond);
  void Remove(const schema::Request& request, const std::string& secret, Responder respond);
  // The values of some, merged, in a box for the service that asks.
  void Reveal(const schema::Request& request, Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  const SecretVault& vault_;
  const broker::StateTable& subscriptions_;
  std::function<void()> committed_;
};

}  // namespace dispatch
