#include "broker-adapters/memory/partition_log.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace dispatch::broker::memory {

int64_t PartitionLog::Append(Record record, int64_t gap) {
  record.offset = end_ + gap;
  end_ = record.offset + 1;
  records_.push_back(std::move(record));
  return end_ - 1;
}

void PartitionLog::Truncate(int64_t offset) {
  begin_ = std::max(begin_, std::min(offset, end_));
  while (!records_.empty() && records_.front().offset < begin_) records_.pop_front();
}

void PartitionLog::Compact(int64_t expired_ms) {
  if (records_.empty()) return;
  std::unordered_map<std::string_view, int64_t> last;
  for (const Record& r : records_) {
    if (r.key) last[*r.key] = r.offset;
  }
  int64_t newest = records_.back().offset;
  std::deque<Record> kept;
  for (Record& r : records_) {
    bool superseded = r.key && last[*r.key] != r.offset;
    bool expired = !r.value && r.timestamp_ms < expired_ms;
    if (r.offset == newest || (!superseded && !expired)) kept.push_back(r);
  }
  records_ = std::move(kept);
}

std::deque<Record>::const_iterator PartitionLog::Find(int64_t offset) const {
  if (records_.empty() || offset <= records_.front().offset) return records_.begin();
  auto rank = static_cast<size_t>(offset - records_.front().offset);
  if (rank < records_.size() && records_[rank].offset == offset) {
    return records_.begin() + static_cast<ptrdiff_t>(rank);
  }
  return std::lower_bound(records_.begin(), records_.end(), offset,
                          [](const Record& r, int64_t value) { return r.offset < value; });
}

int64_t PartitionLog::Read(int64_t from, size_t max_records, size_t max_bytes,
                           std::vector<Record>& out) const {
  size_t bytes = 0;
  auto it = Find(from);
  for (size_t count = 0; it != records_.end(); ++it, ++count) {
    if (count > 0 && (count >= max_records || bytes >= max_bytes)) return it->offset;
    bytes += RecordBytes(it->key, it->value, it->headers);
    out.push_back(*it);
  }
  return end_;
}

int64_t PartitionLog::OffsetForTime(int64_t timestamp_ms) const {
  for (const Record& r : records_) {
    if (r.timestamp_ms >= timestamp_ms) return r.offset;
  }
  return end_;
}

size_t RecordBytes(const std::optional<std::string>& key, const std::optional<std::string>& value,
                   const std::vector<Header>& headers) {
  size_t bytes = 70 + (key ? key->size() : 0) + (value ? value->size() : 0);
  for (const Header& h : headers) bytes += h.first.size() + h.second.size() + 4;
  return bytes;
}

}  // namespace dispatch::broker::memory
