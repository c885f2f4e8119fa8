#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "api-gateway/src/domain/call.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// Who owns a kind of object, and the table where its changes show.
struct Owner {
  std::string service;
  broker::StateTable& table;
};

/// Asks the services on behalf of calls.
class ServiceClient {
 public:
  using Answered = std::function<void(broker::RpcReply reply)>;

  /// `max_in_flight` is the RPC client's own bound.
  ServiceClient(broker::RpcClient& rpc, size_t max_in_flight);

  /// A read. Errors are answered to the caller.
  void Ask(const CallPtr& call, const std::string& service, std::string method, json::value body,
           Answered done);
  /// The same of what may take its time.
  void Ask(const CallPtr& call, const std::string& service, std::string method, json::value body,
           std::chrono::milliseconds timeout, Answered done);
  /// The same of what makes something that is in no state topic: with the caller's Idempotency-Key.
  void Make(const CallPtr& call, const std::string& service, std::string method, json::value body,
            std::chrono::milliseconds timeout, Answered done);
  /// Answers the caller with what kept the service from doing it.
  void Fail(const CallPtr& call, const std::string& service, Error error) const;
  /// A read that the answer can do without.
  void TryAsk(const CallPtr& call, const std::string& service, std::string method, json::value body,
              std::chrono::milliseconds timeout,
              std::function<void(Result<broker::RpcReply>)> done);
  /// A mutation, with the caller's If-Match and Idempotency-Key. `done` runs when this gateway's
  /// cache has the outcome too (or did not get it in time: it is committed all the same), with
  /// X-Dispatch-Version in the answer. Errors are answered to the caller.
  void Change(const CallPtr& call, const Owner& owner, std::string method, json::value body,
              Answered done);
  /// What the caller is told: our full queue is not the caller's own limit, and what broke inside
  /// is for the log, since it names addresses, tables and settings that are the operator's.
  Error Explain(const Call& call, const std::string& service, Error error) const;

 private:
  schema::Request NewRequest(const Call& call, std::string method, const json::value& body) const;

  broker::RpcClient& rpc_;
  const size_t max_in_flight_;
};

}  // namespace dispatch::gateway
