#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace dispatch {

/// Tracks which offsets of one partition are complete, out of order. It knows only offsets that
/// were delivered to us, so gaps (compaction, control records) need nothing. Pure; one owner.
///
/// Position() is the next offset to read after a restart: everything below it is complete. What is
/// complete beyond it is in the completed set, and is skipped when it is delivered again.
class OffsetTracker {
 public:
  struct Limits {
    size_t max_incomplete = 16'384;
    size_t max_bytes = 32 * 1024 * 1024;
    int64_t max_span = 1'000'000;  // newest delivered - lowest incomplete
  };

  explicit OffsetTracker(int64_t position) : OffsetTracker(position, Limits{}) {}
  OffsetTracker(int64_t position, Limits limits);

  /// Resumes from a checkpoint: position and ranges completed beyond it.
  static OffsetTracker Restore(int64_t position,
                               const std::vector<std::pair<int64_t, int64_t>>& completed,
                               Limits limits);

  /// A record arrived. False when it is complete already (or a repeat of one under way): skip it.
  /// Weight: how many deliveries it holds (1 or more); bytes: what it pins in memory.
  bool Deliver(int64_t offset, size_t weight, size_t bytes);

  /// All that belongs to the record is settled. False for an offset that is not incomplete.
  bool Complete(int64_t offset);

  /// Part of a record's weight or bytes is let go of before it completes.
  void Release(int64_t offset, size_t weight, size_t bytes);

  int64_t Position() const;
  /// The newest offset delivered + 1, or the start.
  int64_t next() const { return next_; }
  /// Half-open ranges [first, second) of completed offsets at or above Position(). A range may span
  /// gaps: offsets inside it that do not exist count as complete.
  std::vector<std::pair<int64_t, int64_t>> Completed() const;

  size_t incomplete() const { return incomplete_; }
  size_t weight() const { return weight_; }
  size_t bytes() const { return bytes_; }
  const Limits& limits() const { return limits_; }
  bool full() const;
  /// Below half of every limit: a paused partition may resume.
  bool half_empty() const;

 private:
  // A record that was delivered, in offset order. Complete ones leave from the front at once, and
  // from the middle when they outnumber the others.
  struct Entry {
    int64_t offset;
    uint32_t weight;
    uint32_t bytes;
    bool complete;
  };

  Entry* Find(int64_t offset);
  int64_t span() const { return entries_.empty() ? 0 : next_ - entries_.front().offset; }
  void Trim();

  Limits limits_;
  int64_t next_;
  size_t incomplete_ = 0;
  size_t weight_ = 0;
  size_t bytes_ = 0;
  std::deque<Entry> entries_;  // the front is incomplete
  // Complete ranges from a checkpoint at or above next_, in order, apart from one another.
  std::deque<std::pair<int64_t, int64_t>> restored_;
};

}  // namespace dispatch
