#pragma once

#include <functional>
#include <string>

#include "broker-adapters/audit_log.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"
#include "identity/src/adapters/mutation.h"

namespace dispatch::identity {

/// Serves the methods `organization|apikey|policy|serviceaccount.create|update|delete`: runs each
/// change in a transaction, writes it to the audit log, refused or not, and tells the relay. One
/// owner.
class Commands {
 public:
  Commands(Loop& loop, pg::Pool& pool, broker::AuditLog& audit, std::string service_key,
           std::function<void()> committed)
      : loop_(loop),
        pool_(pool),
        audit_(audit),
        service_key_(std::move(service_key)),
        committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Run(schema::Request request, Change change, Responder respond);
  void Audit(const schema::Request& request, const std::string& name, const Status& status);

  Loop& loop_;
  pg::Pool& pool_;
  broker::AuditLog& audit_;
  const std::string service_key_;
  const std::function<void()> committed_;
};

/// Runs a change, unless a request with the same idempotency key ran before: then its answer comes
/// again, but for a new key's text, which is told once.
Result<broker::RpcReply> ApplyOnce(pg::Transaction& tx, Change change, const Mutation& mutation);

/// The answer to a change: the entity's API form, with a new key's text.
broker::RpcReply ReplyOf(const Outcome& outcome);

}  // namespace dispatch::identity
