#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/span.h"
#include "schema/messages.h"

namespace dispatch::broker {

/// What a request answers: a JSON document, or an error. `state_version` is the
/// kind/org/name@version of the entity that a mutation made, for read-your-writes.
struct RpcReply {
  json::value body;
  std::string state_kind;  // empty: no entity
  std::string state_key;   // "org/name"
  int64_t state_version = 0;
};

/// Sends requests to `dispatch.rpc.<service>` and matches replies by correlation id. Picks a random
/// partition of `dispatch.replies`, reads it from its end, and ignores what it did not ask for. Its
/// own producer; one owner.
class RpcClient {
 public:
  struct Options {
    std::string client_id;
    size_t max_in_flight = 2'000;
    size_t max_in_flight_per_org = 500;
  };
  RpcClient(Broker& broker, Loop& loop, const RecordSigner& signer, Options options);
  ~RpcClient();

  /// True once the reply partition is being read from its end.
  bool ready() const;

  /// `done` runs once, on the loop: the reply, the service's error, kDeadlineExceeded after
  /// `timeout`, or kResourceExhausted at once when too much is in flight.
  void Call(const std::string& service, schema::Request request, std::chrono::milliseconds timeout,
            std::function<void(Result<RpcReply>)> done);

  size_t in_flight() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Serves `dispatch.rpc.<service>` as one group. Expired requests are dropped, requests without a
/// valid MAC are counted and dropped. Offsets are committed on receipt. Several requests run at
/// once (bounded); a handler answers once, on the loop.
class RpcServer {
 public:
  using Responder = std::function<void(Result<RpcReply>)>;
  using Handler = std::function<void(schema::Request request, Responder respond)>;

  RpcServer(Broker& broker, Loop& loop, const RecordSigner& signer, std::string service,
            size_t max_in_flight = 1'000);
  ~RpcServer();

  /// `method` as "subscription.create". Unknown methods answer kNotFound.
  void Handle(std::string method, Handler handler);
  /// The same of a method that changes something: OnChange is told of each request and what came of
  /// it, before it is answered.
  void HandleChange(std::string method, Handler handler);
  using Changed = std::function<void(const schema::Request&, const Status&)>;
  /// Set before Start.
  void OnChange(Changed changed);
  /// Whose spans stand for the requests, if they are sampled. Set before Start.
  void TraceBy(const Tracer* tracer);
  void Start();
  bool ready() const;  // joined, partitions assigned or none left for us
  /// Stops taking requests, waits for the running ones.
  void Stop(std::function<void()> stopped);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::broker
