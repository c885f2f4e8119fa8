#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api-gateway/src/domain/service_client.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// GET /v1/lag?follow=true: server-sent events, the whole board first and then what changed. While
/// somebody follows an organisation, event-manager is asked once a second for all that follow it.
/// What is not true any more is told by `event: stale`, with the reason and, when event-manager is
/// silent, since when. One owner.
class LagStreams {
 public:
  struct Options {
    Duration look_every = std::chrono::seconds(1);  // four times as long as a look takes, to 2 s
    Duration heartbeat = std::chrono::seconds(15);
    Duration stream_time = std::chrono::hours(1);  // then the client takes it up again
    size_t max = 500;
    size_t max_per_org = 50;
  };
  /// Who the caller is now, so that a key that was revoked ends the stream; null for nobody.
  using Reader = std::function<std::shared_ptr<const Principal>(const Call& call)>;

  /// `events` is event-manager's state, whose heartbeats tell since when it is silent.
  LagStreams(Loop& loop, ServiceClient& services, const broker::StateTable& events,
             Options options);
  ~LagStreams();

  /// Answers with a stream, or an error when the first look fails.
  void Follow(CallPtr call, Reader reader);
  /// Ends what is under way, and refuses what comes.
  void Stop();

  size_t size() const;

 private:
  class Stream;
  class Watch;

  Loop& loop_;
  ServiceClient& services_;
  const broker::StateTable& events_;
  const Options options_;
  bool stopped_ = false;
  std::map<std::string, std::shared_ptr<Watch>> watches_;  // by organisation
};

}  // namespace dispatch::gateway
