#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "broker-adapters/types.h"

namespace dispatch::broker::memory {

/// The records of one partition, by rising offset, with gaps. Pure.
class PartitionLog {
 public:
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }
  const std::deque<Record>& records() const { return records_; }

  /// Appends at the end, `gap` offsets further on. Returns the offset.
  int64_t Append(Record record, int64_t gap);
  /// Records below `offset` are gone.
  void Truncate(int64_t offset);
  /// Keeps the last record of each key; tombstones from before `expired_ms` go too. The newest
  /// record stays, as Kafka's active segment does.
  void Compact(int64_t expired_ms);
  /// Adds copies of records from `from` on to `out` until a limit is reached (one at least).
  /// Returns the offset to go on at.
  int64_t Read(int64_t from, size_t max_records, size_t max_bytes, std::vector<Record>& out) const;
  /// The first offset written at or after that time, or the end.
  int64_t OffsetForTime(int64_t timestamp_ms) const;

 private:
  std::deque<Record>::const_iterator Find(int64_t offset) const;

  int64_t begin_ = 0;
  int64_t end_ = 0;
  std::deque<Record> records_;
};

/// What a record counts for in limits: Kafka's batch and record overhead included.
size_t RecordBytes(const std::optional<std::string>& key, const std::optional<std::string>& value,
                   const std::vector<Header>& headers);

}  // namespace dispatch::broker::memory
