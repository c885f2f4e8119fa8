#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace dispatch::internal {

/// Timers in a binary heap in which each timer knows its place: adding a late one (a timeout) is
/// O(1) in practice, cancelling O(log n), and a cancelled timer leaves nothing behind. Equal due
/// times fire in the order of their creation. Not thread-safe.
class TimerHeap {
 public:
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  /// Requires !empty().
  SteadyTime NextDue() const { return heap_.front().due; }

  TimerId Add(SteadyTime due, std::function<void()> task);
  /// The task of a waiting timer, which is taken out; empty when it waits no more.
  std::function<void()> Take(TimerId timer);
  /// Takes the first timer when it is due.
  bool TakeDue(SteadyTime now, std::function<void()>& task);

 private:
  struct Entry {
    SteadyTime due;
    uint64_t sequence;
    uint32_t slot;
    bool operator<(const Entry& other) const {
      return due != other.due ? due < other.due : sequence < other.sequence;
    }
  };
  struct Slot {
    std::function<void()> task;
    uint32_t generation = 0;
    uint32_t place = 0;
    bool used = false;
  };

  std::function<void()> RemoveAt(size_t place);
  void Place(size_t place, Entry entry) {
    slots_[entry.slot].place = static_cast<uint32_t>(place);
    heap_[place] = entry;
  }
  void SiftUp(size_t place);
  void SiftDown(size_t place);

  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  uint64_t sequence_ = 0;
};

}  // namespace dispatch::internal
