#pragma once

#include <functional>
#include <memory>

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// `redrive.create` {subscription, filter, rate}, `redrive.list` {subscription, limit},
/// `redrive.get` and `redrive.cancel` {subscription, id}: the jobs that make dead letters pending
/// again. The work itself is the owners' of the invocations partitions (redrive_jobs.h).
class RedriveCommands {
 public:
  /// `begun` runs when a redrive was made.
  RedriveCommands(Loop& loop, pg::Pool& pool, const broker::StateTable& subscriptions,
                  std::function<void()> begun)
      : loop_(loop), pool_(pool), subscriptions_(subscriptions), begun_(std::move(begun)) {}
  ~RedriveCommands();

  void Register(broker::RpcServer& server);
  /// Ends the redrives of subscriptions that are gone, and forgets old ones, from now on.
  void Start() { Tidy(); }

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(const schema::Request& request, Responder respond);
  void List(const schema::Request& request, Responder respond);
  void Get(const schema::Request& request, Responder respond);
  void Cancel(const schema::Request& request, Responder respond);
  void Tidy();

  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& subscriptions_;
  std::function<void()> begun_;
  TimerId tidy_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
