#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "broker-adapters/broker.h"
#include "event-manager/src/domain/match_index.h"

namespace dispatch {

/// How many of some events a subscription would match, with a few examples. Pure; one owner.
class DryRun {
 public:
  static constexpr size_t kExamples = 5;           // the newest that match
  static constexpr size_t kExampleBytes = 16'384;  // an example's data beyond is left out

  explicit DryRun(std::shared_ptr<const CompiledSubscription> subscription)
      : subscription_(std::move(subscription)) {}

  void Look(const broker::Record& record);

  int64_t scanned() const { return scanned_; }
  int64_t matched() const { return matched_; }
  /// {"scanned", "matched", "notCloudEvents", "oldest" and "newest" (times of records, when there
  /// are any), "evaluationErrors": {"events", "kinds": {kind: events}}, "examples": [{"partition",
  /// "offset", "time", "event"}]}, the newest example first.
  json::object Report() const;

 private:
  struct Example {
    int32_t partition;
    int64_t offset;
    int64_t time_ms;
    json::value event;
  };
  static constexpr size_t kKinds = static_cast<size_t>(cesql::ErrorKind::kGeneric) + 1;

  void Keep(const broker::Record& record, const cloudevents::Event& event);

  std::shared_ptr<const CompiledSubscription> subscription_;
  int64_t scanned_ = 0;
  int64_t matched_ = 0;
  int64_t unparsable_ = 0;
  int64_t with_errors_ = 0;
  std::array<int64_t, kKinds> errors_{};
  int64_t oldest_ms_ = 0;
  int64_t newest_ms_ = 0;
  std::vector<Example> examples_;  // by time
};

/// Where the last `sample` records of a log begin, by partition: as many of each, and more of the
/// others where one has fewer.
std::vector<int64_t> SampleStarts(const std::vector<broker::Offsets>& log, int64_t sample);

}  // namespace dispatch
