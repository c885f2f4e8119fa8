#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "common/result.h"
#include "common/uuid.h"
#include "schema/messages.h"

namespace dispatch {

inline constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

struct PartitionId {
  Uuid topic;
  int32_t partition = 0;
  auto operator<=>(const PartitionId&) const = default;
};

/// Where one subscription stands in one partition (DESIGN section 4). The shared reader serves the
/// offsets in [live_from, live_until); what is below live_from and not yet matched is served by a
/// lagging session (MatchCheckpoint::Session) or, when paused_at is set, by nobody until resumed.
struct Cursor {
  Uuid subscription;
  int32_t generation = 0;
  int64_t live_from = kForever;
  int64_t live_until = kForever;
  std::optional<int64_t> paused_at;
  /// Of the subscription when the cursor last changed: an owner that knows only an older one waits.
  int64_t version = 0;

  bool ServesLive(int64_t offset) const { return offset >= live_from && offset < live_until; }
};

/// What an owner finds when it takes a partition.
struct PartitionState {
  PartitionId id;
  int64_t epoch = 0;  // ours, raised by the claim
  std::optional<int64_t> position;
  schema::MatchCheckpoint checkpoint;
  std::vector<Cursor> cursors;
  /// The log's end when we took it: an owner before us may have written invocations of anything
  /// below, for the subscriptions whose cursors said so.
  int64_t end = 0;
};

/// What an owner saves, all of it in one transaction.
struct PartitionSave {
  PartitionId id;
  int64_t epoch = 0;
  int64_t position = 0;
  schema::MatchCheckpoint checkpoint;
  std::vector<Cursor> changed;
  std::vector<Uuid> removed;
};

/// The counters of a partition, whoever owns it.
struct PartitionMatched {
  PartitionId id;
  std::vector<schema::MatchCheckpoint::Matched> counters;
};

/// Durable checkpoints of event partitions. Callbacks on the owner's loop, never inside the call.
class MatchStore {
 public:
  virtual ~MatchStore() = default;
  /// Raises each partition's epoch and reads its state.
  virtual void Claim(std::vector<PartitionId> partitions,
                     std::function<void(Result<std::vector<PartitionState>>)> done) = 0;
  /// Saves those whose epoch still is the newest; answers those that were fenced.
  virtual void Save(std::vector<PartitionSave> saves,
                    std::function<void(Result<std::vector<PartitionId>>)> done) = 0;
  /// What was matched in every partition of these topics, as of their last checkpoints.
  virtual void ReadMatched(std::vector<Uuid> topics,
                           std::function<void(Result<std::vector<PartitionMatched>>)> done) = 0;
};

}  // namespace dispatch
