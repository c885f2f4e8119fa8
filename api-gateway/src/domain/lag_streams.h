#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api-gateway/src/domain/service_client.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// GET /v1/lag?follow=true: server-sent events, the whole board first and then what changed. While
/// somebody follows an organisation, event-manager is asked once a second for all that follow it.
/// One owner.
class LagStreams {
 public:
  struct Options {
    Duration look_every = std::chrono::seconds(1);  // at least four times as long as a look takes
    Duration heartbeat = std::chrono::seconds(15);
    Duration stream_time = std::chrono::hours(1);  // then the client takes it up again
    size_t max = 500;
    size_t max_per_org = 50;
  };
  /// Who the caller is now, so that a key that was revoked ends the stream; null for nobody.
  using Reader = std::function<std::shared_ptr<const Principal>(const Call& call)>;

  LagStreams(Loop& loop, ServiceClient& services, Options options);
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
  const Options options_;
  bool stopped_ = false;
  std::map<std::string, std::shared_ptr<Watch>> watches_;  // by organisation
};

}  // namespace dispatch::gateway
