#pragma once

#include <map>
#include <string>
#include <utility>

#include "common/metrics.h"
#include "function-manager/src/domain/scheduler.h"

namespace dispatch {

/// What the lanes hold and what holds them back, as metrics: sums for all, and by name only those
/// that are held back, at most 100. One owner.
class LaneMetrics {
 public:
  LaneMetrics();
  ~LaneMetrics();

  /// `keys`: of `ordering: key` with something on the way; `blocked`: those with rows in the retry
  /// store.
  void Update(Scheduler& scheduler, SteadyTime now, size_t keys, size_t blocked);

 private:
  using Name = std::pair<std::string, std::string>;  // organisation, subscription
  struct Shown {
    metrics::Gauge circuit;
    metrics::Gauge limit;
  };
  static void Forget(const Name& name);

  metrics::Gauge in_flight_;
  metrics::Gauge queued_;
  metrics::Gauge open_;
  metrics::Gauge half_open_;
  metrics::Gauge keys_;
  metrics::Gauge blocked_;
  std::map<Name, Shown> shown_;
};

}  // namespace dispatch
