#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "event-manager/src/domain/lag_figures.h"

namespace dispatch {

/// What one look at a subscription saw, as far as its trend needs it.
struct LagSample {
  int64_t at_ms = 0;
  int64_t settled = 0;  // delivered, dead-lettered and cancelled so far
  int64_t delivered = 0;
  int64_t outstanding = 0;  // unread and pending
  int64_t lost = 0;
  int64_t ends = 0;  // of the logs, summed
};

/// How the figures of a subscription moved over the samples that are kept.
struct LagTrend {
  int64_t span_ms = 0;          // between the oldest sample and the newest; 0: one sample or none
  double settled_rate = 0;      // a second
  double arrival_rate = 0;      // a second; may be below zero after a filter change
  double log_rate = 0;          // records a second that the topic grew by
  int64_t unmoved_ms = 0;       // so long nothing was settled, while something was outstanding
  int64_t lost = 0;             // within the span
  bool never_lower = false;     // three samples or more, and outstanding was at no time lower
  bool cleared_lately = false;  // nothing was outstanding in one of the samples
};

/// The recent samples of one subscription: a ring of `kSize`, not closer than `kSpacing`. A sample
/// that comes sooner replaces the newest, so that the trend ends with what is known.
class LagHistory {
 public:
  static constexpr size_t kSize = 30;
  static constexpr int64_t kSpacing = 2'000;  // ms

  void Add(const LagSample& sample);
  LagTrend Trend() const;
  bool empty() const { return samples_.empty(); }
  const LagSample& newest() const { return samples_.back(); }

 private:
  std::deque<LagSample> samples_;
  int64_t moved_ms_ = 0;  // when something was settled last, or nothing was outstanding
};

/// Since when a subscription stands where it is in each partition.
class PlaceHistory {
 public:
  void Add(int64_t at_ms, const std::vector<PartitionLag>& partitions);
  /// By partition, in ms; 0: it moved since the look before, or all is read.
  std::vector<int64_t> still_since_ms() const;

 private:
  struct Place {
    int64_t next = -1;
    int64_t since_ms = 0;
    bool still = false;
  };
  std::vector<Place> places_;
};

}  // namespace dispatch
