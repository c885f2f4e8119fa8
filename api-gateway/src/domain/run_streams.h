#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "api-gateway/src/domain/service_client.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// Streams of runs as they are asked for and end, as server-sent events: function-manager is asked
/// what changed, again and again while somebody follows (decision 0019). One owner.
class RunStreams {
 public:
  struct Options {
    Duration look_every = std::chrono::milliseconds(500);
    Duration heartbeat = std::chrono::seconds(15);
    Duration stream_time = std::chrono::hours(1);  // then the client takes it up again
    size_t max = 200;
    size_t max_per_org = 20;
  };
  /// Whether the caller may go on reading; asked now and then.
  using Allowed = std::function<bool(const Call& call)>;

  RunStreams(Loop& loop, ServiceClient& services, Options options)
      : loop_(loop), services_(services), options_(options) {}
  ~RunStreams() { Stop(); }

  /// `query` is the body of run.changes: functionName, status, sinceUs; the caller's Last-Event-ID
  /// says where it goes on. Answers with a stream, or an error.
  void Follow(CallPtr call, json::object query, Allowed allowed);
  /// Ends what is under way, and refuses what comes.
  void Stop();

  size_t size() const { return streams_.size(); }

 private:
  class Stream;
  void Begin(const std::shared_ptr<Stream>& stream, const json::value& changes);

  Loop& loop_;
  ServiceClient& services_;
  const Options options_;
  bool stopped_ = false;
  std::unordered_set<std::shared_ptr<Stream>> streams_;
};

}  // namespace dispatch::gateway
