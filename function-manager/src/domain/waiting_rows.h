#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace dispatch {

/// The rows that one subscription has in one shard of the retry store, by when they began to wait:
/// with the event's time, or, of an event that is to be delivered later (`deliverat`), with that
/// time. Before it a row is *scheduled*: nobody waits for it. Kept by the second, so that a million
/// rows are few numbers; the time of the oldest is exact to that. Pure; one owner.
class WaitingRows {
 public:
  /// `deliver_at_ms`: 0 for a row that waits from its event's time on.
  void Add(int64_t source_timestamp_ms, int64_t deliver_at_ms, int64_t rows = 1) {
    rows_ += rows;
    if (deliver_at_ms == 0) return AddTo(waiting_, source_timestamp_ms, rows);
    AddTo(delayed_, deliver_at_ms, rows);
    if (IsScheduled(deliver_at_ms)) scheduled_ += rows;
  }
  void Remove(int64_t source_timestamp_ms, int64_t deliver_at_ms) {
    --rows_;
    if (deliver_at_ms == 0) return RemoveFrom(waiting_, source_timestamp_ms);
    RemoveFrom(delayed_, deliver_at_ms);
    if (IsScheduled(deliver_at_ms)) --scheduled_;
  }
  /// True when the time of some came.
  bool Advance(int64_t now_ms) {
    int64_t now = now_ms / 1000;
    if (now <= now_) return false;
    int64_t before = scheduled_;
    for (auto it = delayed_.upper_bound(now_); it != delayed_.end() && it->first <= now; ++it) {
      scheduled_ -= it->second.rows;
    }
    now_ = now;
    return scheduled_ != before;
  }

  int64_t rows() const { return rows_; }
  int64_t scheduled() const { return scheduled_; }
  bool IsScheduled(int64_t deliver_at_ms) const { return deliver_at_ms / 1000 > now_; }
  /// From when on the oldest of those waits that are not scheduled; 0: there is none.
  int64_t oldest_ms() const {
    int64_t oldest = waiting_.empty() ? 0 : waiting_.begin()->second.first_ms;
    if (delayed_.empty() || delayed_.begin()->first > now_) return oldest;
    int64_t late = delayed_.begin()->second.first_ms;
    return oldest == 0 ? late : std::min(oldest, late);
  }

 private:
  struct Second {
    int64_t rows = 0;
    int64_t first_ms = 0;
  };
  using Seconds = std::map<int64_t, Second>;

  static void AddTo(Seconds& seconds, int64_t ms, int64_t rows) {
    Second& second = seconds[ms / 1000];
    if (second.rows == 0 || ms < second.first_ms) second.first_ms = ms;
    second.rows += rows;
  }
  static void RemoveFrom(Seconds& seconds, int64_t ms) {
    auto it = seconds.find(ms / 1000);
    if (it != seconds.end() && --it->second.rows <= 0) seconds.erase(it);
  }

  Seconds waiting_;
  Seconds delayed_;
  int64_t rows_ = 0;
  int64_t scheduled_ = 0;
  int64_t now_ = 0;
};

}  // namespace dispatch
