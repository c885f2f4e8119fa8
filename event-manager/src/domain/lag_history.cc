#include "event-manager/src/domain/lag_history.h"

#include <algorithm>

namespace dispatch {

void LagHistory::Add(const LagSample& sample) {
  bool moved = samples_.empty() || sample.settled != samples_.back().settled;
  if (moved || sample.outstanding == 0) moved_ms_ = sample.at_ms;
  size_t count = samples_.size();
  bool close = count >= 2 && sample.at_ms - samples_[count - 2].at_ms < kSpacing;
  if (close) samples_.pop_back();
  samples_.push_back(sample);
  if (samples_.size() > kSize) samples_.pop_front();
}

LagTrend LagHistory::Trend() const {
  LagTrend trend;
  if (samples_.empty()) return trend;
  const LagSample& first = samples_.front();
  const LagSample& last = samples_.back();
  trend.span_ms = std::max<int64_t>(0, last.at_ms - first.at_ms);
  trend.unmoved_ms = std::max<int64_t>(0, last.at_ms - moved_ms_);
  trend.lost = std::max<int64_t>(0, last.lost - first.lost);
  trend.never_lower = samples_.size() >= 3;
  for (size_t i = 0; i < samples_.size(); ++i) {
    if (samples_[i].outstanding == 0) trend.cleared_lately = true;
    if (i > 0 && samples_[i].outstanding < samples_[i - 1].outstanding) trend.never_lower = false;
  }
  if (trend.span_ms <= 0) return trend;
  double seconds = static_cast<double>(trend.span_ms) / 1000;
  auto settled = static_cast<double>(last.settled - first.settled);
  auto left = static_cast<double>(last.outstanding - first.outstanding);
  trend.settled_rate = std::max(0.0, settled / seconds);
  trend.arrival_rate = (left + settled) / seconds;
  trend.log_rate = std::max(0.0, static_cast<double>(last.ends - first.ends) / seconds);
  return trend;
}

void PlaceHistory::Add(int64_t at_ms, const std::vector<PartitionLag>& partitions) {
  places_.resize(partitions.size());
  for (size_t p = 0; p < partitions.size(); ++p) {
    Place& place = places_[p];
    place.still = partitions[p].unread() > 0 && partitions[p].next == place.next;
    if (!place.still) place.since_ms = at_ms;
    place.next = partitions[p].next;
  }
}

std::vector<int64_t> PlaceHistory::still_since_ms() const {
  std::vector<int64_t> since;
  for (const Place& place : places_) since.push_back(place.still ? place.since_ms : 0);
  return since;
}

}  // namespace dispatch
