#include "broker-adapters/offset_tracker.h"

#include <algorithm>

namespace dispatch {

namespace {

// Complete entries kept in the middle before they are cleared out.
constexpr size_t kTrimSlack = 1024;

uint32_t Clamp(size_t value) { return static_cast<uint32_t>(std::min<size_t>(value, UINT32_MAX)); }

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

void Append(Ranges& ranges, int64_t first, int64_t last) {
  if (first >= last) return;
  if (!ranges.empty() && ranges.back().second >= first) {
    ranges.back().second = std::max(ranges.back().second, last);
  } else {
    ranges.emplace_back(first, last);
  }
}

}  // namespace

OffsetTracker::OffsetTracker(int64_t position, Limits limits) : limits_(limits), next_(position) {}

OffsetTracker OffsetTracker::Restore(int64_t position,
                                     const std::vector<std::pair<int64_t, int64_t>>& completed,
                                     Limits limits) {
  OffsetTracker tracker(position, limits);
  Ranges sorted = completed;
  std::sort(sorted.begin(), sorted.end());
  Ranges merged;
  for (auto [first, last] : sorted) Append(merged, std::max(first, position), last);
  tracker.restored_.assign(merged.begin(), merged.end());
  return tracker;
}

bool OffsetTracker::Deliver(int64_t offset, size_t weight, size_t bytes) {
  if (offset < next_) return false;
  next_ = offset + 1;
  while (!restored_.empty() && restored_.front().second <= offset) restored_.pop_front();
  if (!restored_.empty() && restored_.front().first <= offset) {
    if (restored_.front().second == next_) restored_.pop_front();
    return false;
  }
  Entry entry{offset, std::max<uint32_t>(Clamp(weight), 1), Clamp(bytes), false};
  entries_.push_back(entry);
  ++incomplete_;
  weight_ += entry.weight;
  bytes_ += entry.bytes;
  return true;
}

OffsetTracker::Entry* OffsetTracker::Find(int64_t offset) {
  if (entries_.empty() || offset < entries_.front().offset) return nullptr;
  // Offsets rise by at least one an entry, so this is the last place where it can be; without gaps
  // it is the place.
  size_t last = std::min<size_t>(offset - entries_.front().offset, entries_.size() - 1);
  if (entries_[last].offset != offset) {
    auto end = entries_.begin() + static_cast<ptrdiff_t>(last) + 1;
    auto it = std::lower_bound(entries_.begin(), end, offset,
                               [](const Entry& e, int64_t value) { return e.offset < value; });
    if (it == end || it->offset != offset) return nullptr;
    last = static_cast<size_t>(it - entries_.begin());
  }
  return entries_[last].complete ? nullptr : &entries_[last];
}

bool OffsetTracker::Complete(int64_t offset) {
  Entry* entry = Find(offset);
  if (entry == nullptr) return false;
  entry->complete = true;
  --incomplete_;
  weight_ -= entry->weight;
  bytes_ -= entry->bytes;
  while (!entries_.empty() && entries_.front().complete) entries_.pop_front();
  if (entries_.size() > 2 * incomplete_ + kTrimSlack) Trim();
  return true;
}

// Completed() is what lies between the incomplete ones, so complete entries carry nothing.
void OffsetTracker::Trim() {
  std::erase_if(entries_, [](const Entry& e) { return e.complete; });
}

void OffsetTracker::Release(int64_t offset, size_t weight, size_t bytes) {
  Entry* entry = Find(offset);
  if (entry == nullptr) return;
  uint32_t w = std::min(entry->weight, Clamp(weight));
  uint32_t b = std::min(entry->bytes, Clamp(bytes));
  entry->weight -= w;
  entry->bytes -= b;
  weight_ -= w;
  bytes_ -= b;
}

int64_t OffsetTracker::Position() const {
  if (!entries_.empty()) return entries_.front().offset;
  if (!restored_.empty() && restored_.front().first <= next_) return restored_.front().second;
  return next_;
}

std::vector<std::pair<int64_t, int64_t>> OffsetTracker::Completed() const {
  Ranges ranges;
  int64_t position = Position();
  int64_t from = position;
  for (const Entry& entry : entries_) {
    if (entry.complete) continue;
    Append(ranges, from, entry.offset);
    from = entry.offset + 1;
  }
  Append(ranges, from, next_);
  for (auto [first, last] : restored_) Append(ranges, std::max({first, next_, position}), last);
  return ranges;
}

bool OffsetTracker::full() const {
  return weight_ >= limits_.max_incomplete || bytes_ >= limits_.max_bytes ||
         span() >= limits_.max_span;
}

bool OffsetTracker::half_empty() const {
  return weight_ * 2 < limits_.max_incomplete && bytes_ * 2 < limits_.max_bytes &&
         span() * 2 < limits_.max_span;
}

}  // namespace dispatch
