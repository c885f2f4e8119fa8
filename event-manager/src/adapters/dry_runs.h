#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "broker-adapters/broker.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"

namespace dispatch {

/// `subscription.dryrun` {"subscription": as in a create, "sample": N}: how many of the last N
/// events of its topic would match. Creates nothing. Bounded: so many at a time, seconds, bytes,
/// and a little of the loop at a turn; a report that was cut short says so. One owner.
class DryRuns {
 public:
  static constexpr int64_t kMostSample = 10'000;
  struct Options {
    size_t at_once = 2;
    Duration time = std::chrono::seconds(4);  // below a request's deadline
    size_t bytes = 32 * 1024 * 1024;
    Duration turn = std::chrono::milliseconds(2);
  };

  DryRuns(broker::Broker& broker, Loop& loop, const broker::StateTable& state, Options options)
      : broker_(broker), loop_(loop), state_(state), options_(options) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;
  class Run;

  void Start(const schema::Request& request, Responder respond, int looks = 1);

  broker::Broker& broker_;
  Loop& loop_;
  const broker::StateTable& state_;
  const Options options_;
  std::unordered_set<std::shared_ptr<Run>> runs_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
