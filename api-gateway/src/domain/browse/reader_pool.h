#pragma once

#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "common/result.h"

namespace dispatch::gateway {

/// The readers of requests that look into event topics: so many and no more, since each holds
/// threads, connections and what it fetched ahead. A few are kept for the next request, because a
/// new one takes half a second to its first record. One owner; outlives its leases.
class ReaderPool {
 public:
  struct Options {
    size_t max = 16;         // at work at once
    size_t max_per_org = 6;  // of one organisation
    size_t kept = 2;
    Duration keep_for = std::chrono::minutes(1);
    size_t prefetch_bytes = 1024 * 1024;  // of each
  };

  ReaderPool(Loop& loop, broker::Broker& broker, Options options);
  ~ReaderPool();

 private:
  class Slot;

 public:
  /// One request's reader; let go of by destruction, also inside the listener's callbacks.
  class Lease {
   public:
    Lease(ReaderPool& pool, std::string org, std::unique_ptr<Slot> slot);
    ~Lease();
    void Add(const broker::TopicPartition& partition, int64_t offset);
    void Remove(const broker::TopicPartition& partition);
    /// Of all partitions that were added.
    void Pause();
    void Resume();

   private:
    ReaderPool& pool_;
    std::string org_;
    std::unique_ptr<Slot> slot_;
  };

  /// kResourceExhausted when the organisation, or the gateway, has as many as it may.
  Result<std::unique_ptr<Lease>> Take(const std::string& org, broker::Reader::Listener& listener);

  size_t at_work() const { return at_work_; }

 private:
  void GiveBack(const std::string& org, std::unique_ptr<Slot> slot);
  void DropOld();

  Loop& loop_;
  broker::Broker& broker_;
  const Options options_;
  size_t at_work_ = 0;
  std::unordered_map<std::string, size_t> by_org_;
  std::vector<std::unique_ptr<Slot>> idle_;  // the latest used last
  TimerId timer_ = kNoTimer;
  metrics::Gauge gauge_;
};

}  // namespace dispatch::gateway
