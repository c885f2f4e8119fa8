#include "common/internal/timer_heap.h"

namespace dispatch::internal {

TimerId TimerHeap::Add(SteadyTime due, std::function<void()> task) {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Slot& s = slots_[slot];
  s.task = std::move(task);
  s.used = true;
  ++s.generation;
  heap_.push_back({due, sequence_++, slot});
  s.place = static_cast<uint32_t>(heap_.size() - 1);
  SiftUp(heap_.size() - 1);
  // The slot is stored plus one, so that no id is kNoTimer.
  return static_cast<uint64_t>(s.generation) << 32 | (slot + 1);
}

std::function<void()> TimerHeap::Take(TimerId timer) {
  uint32_t index = static_cast<uint32_t>(timer);
  if (index == 0 || index > slots_.size()) return {};
  const Slot& s = slots_[index - 1];
  if (!s.used || s.generation != static_cast<uint32_t>(timer >> 32)) return {};
  return RemoveAt(s.place);
}

bool TimerHeap::TakeDue(SteadyTime now, std::function<void()>& task) {
  if (heap_.empty() || heap_.front().due > now) return false;
  task = RemoveAt(0);
  return true;
}

std::function<void()> TimerHeap::RemoveAt(size_t place) {
  Slot& s = slots_[heap_[place].slot];
  auto task = std::move(s.task);
  s.task = nullptr;
  s.used = false;
  free_.push_back(heap_[place].slot);
  Entry last = heap_.back();
  heap_.pop_back();
  if (place < heap_.size()) {
    Place(place, last);
    SiftUp(place);
    SiftDown(slots_[last.slot].place);
  }
  return task;
}

void TimerHeap::SiftUp(size_t place) {
  Entry moving = heap_[place];
  while (place > 0) {
    size_t parent = (place - 1) / 2;
    if (!(moving < heap_[parent])) break;
    Place(place, heap_[parent]);
    place = parent;
  }
  Place(place, moving);
}

void TimerHeap::SiftDown(size_t place) {
  Entry moving = heap_[place];
  for (size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1] < heap_[child]) ++child;
    if (!(heap_[child] < moving)) break;
    Place(place, heap_[child]);
    place = child;
  }
  Place(place, moving);
}

}  // namespace dispatch::internal
