#include "common/testing/simulated_loop.h"

namespace dispatch::testing {

namespace {
// 2026-01-01T00:00:00Z: simulated wall time starts at a fixed moment.
constexpr WallTime kEpoch{std::chrono::seconds(1767225600)};
}  // namespace

void SimulatedLoop::Post(std::function<void()> task) { tasks_.push_back(std::move(task)); }

TimerId SimulatedLoop::After(Duration delay, std::function<void()> task) {
  TimerId id = next_id_++;
  SteadyTime due = now_ + std::max(delay, Duration::zero());
  timers_.emplace(std::pair(due, id), std::move(task));
  due_.emplace(id, due);
  return id;
}

void SimulatedLoop::Cancel(TimerId timer) {
  auto it = due_.find(timer);
  if (it == due_.end()) return;
  timers_.erase({it->second, timer});
  due_.erase(it);
}

WallTime SimulatedLoop::Now() const { return kEpoch + now_.time_since_epoch(); }

void SimulatedLoop::RunReady() {
  while (!tasks_.empty()) {
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
}

bool SimulatedLoop::RunOne() {
  if (!tasks_.empty()) {
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }
  if (timers_.empty()) return false;
  auto first = timers_.begin();
  now_ = std::max(now_, first->first.first);
  auto task = std::move(first->second);
  due_.erase(first->first.second);
  timers_.erase(first);
  task();
  return true;
}

void SimulatedLoop::RunFor(Duration span) {
  SteadyTime end = now_ + span;
  RunReady();
  while (!timers_.empty() && timers_.begin()->first.first <= end) {
    RunOne();
    RunReady();
  }
  now_ = end;
}

bool SimulatedLoop::RunUntil(const std::function<bool()>& done, Duration limit) {
  SteadyTime end = now_ + limit;
  while (!done()) {
    if (tasks_.empty() && (timers_.empty() || timers_.begin()->first.first > end)) return false;
    RunOne();
  }
  return true;
}

}  // namespace dispatch::testing
