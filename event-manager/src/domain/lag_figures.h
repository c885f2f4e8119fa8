#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "event-manager/src/domain/match_store.h"
#include "schema/objects.h"

namespace dispatch {

/// A checkpoint of one event partition, whoever owns it.
struct LagCheckpoint {
  int64_t position = 0;
  schema::MatchCheckpoint state;
  std::map<Uuid, Cursor> cursors;
};
using LagCheckpoints = std::map<PartitionId, LagCheckpoint>;

/// What function-manager told of a subscription, summed over the invocations partitions.
struct ProgressSum {
  schema::DeliveryCounters counters;
  int64_t queued = 0;
  int64_t in_flight = 0;
  int64_t retrying = 0;
  int64_t scheduled = 0;          // before their time
  int64_t oldest_pending_ms = 0;  // since when the oldest of the others waits; 0: none
  std::string last_failure;       // of the newest attempt; empty when it went well
  int64_t failing_since_ms = 0;
  int64_t last_success_ms = 0;
  int64_t last_failure_ms = 0;             // of `last_failure`, at the latest; 0: none
  std::optional<schema::Circuit> circuit;  // the one that holds back most
  int64_t heard_ms = 0;                    // when the newest of it was written
  schema::Blocked blocked;                 // ordered keys whose first delivery is in the way
};

enum class LagMode { kLive, kCatchingUp, kPaused };
const char* LagModeName(LagMode mode);

/// Events for which the evaluation of the filters ended with an error, in all partitions.
struct FilterErrorSum {
  int64_t events = 0;
  std::map<std::string, int64_t> kinds;  // events by kind
  int32_t last_partition = 0;
  int64_t last_offset = 0;
  int64_t last_ms = 0;  // 0: there is none

  void Add(int32_t partition, const schema::FilterErrors& errors);
};

struct PartitionLag {
  int64_t next = 0;      // the first offset that is not matched yet
  int64_t end = 0;       // of the log
  int64_t earliest = 0;  // that the log still has
  int64_t next_ms = 0;   // source timestamp of what is at `next`; 0: nothing is, or not known
  int64_t unread() const { return end > next ? end - next : 0; }
};

/// Where a subscription stands. `matched = delivered + dead_lettered + cancelled + pending`.
struct LagFigures {
  int64_t matched = 0;
  int64_t delivered = 0;
  int64_t dead_lettered = 0;
  int64_t cancelled = 0;
  int64_t queued = 0;  // with what is on its way between the managers
  int64_t in_flight = 0;
  int64_t retrying = 0;
  int64_t scheduled = 0;  // pending, and nobody waits for it before its time
  int64_t unread = 0;
  int64_t lost = 0;
  FilterErrorSum filter_errors;
  /// Taken in, less settled, less what is pending by an independent count: always 0.
  int64_t conservation_error = 0;
  LagMode mode = LagMode::kLive;
  std::vector<PartitionLag> partitions;
  /// Source timestamp of the oldest event that is pending or unread, or the time that one was
  /// scheduled for; 0: there is none. What is scheduled counts from its time on.
  int64_t oldest_ms = 0;
  int64_t oldest_unread_ms = 0;  // the same of what is unread; 0: none, or not known
  bool oldest_exact = true;

  /// Pending, but for what is scheduled.
  int64_t under_way() const { return queued + in_flight + retrying; }
  int64_t pending() const { return under_way() + scheduled; }
  int64_t outstanding() const { return under_way() + unread; }
  int64_t settled() const { return delivered + dead_lettered + cancelled; }
};

/// The figures but for the age of what is unread, from the checkpoints of all partitions, the log's
/// ends, and the progress.
LagFigures MeasureLag(const schema::Subscription& subscription, const LagCheckpoints& checkpoints,
                      const std::vector<broker::Offsets>& ends, const ProgressSum& progress);

}  // namespace dispatch
