#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

#include "common/clock.h"

namespace dispatch::testing {

/// A loop on simulated time: nothing runs but in RunFor, RunUntil and RunReady; timers fire in the
/// order of their due time, then of their creation. Single-threaded.
class SimulatedLoop : public Loop {
 public:
  void Post(std::function<void()> task) override;
  TimerId After(Duration delay, std::function<void()> task) override;
  void Cancel(TimerId timer) override;
  WallTime Now() const override;
  SteadyTime Steady() const override { return now_; }

  /// Runs what is posted now and what that posts, without moving time.
  void RunReady();
  /// Moves time on by `span`, firing what falls due.
  void RunFor(Duration span);
  /// Runs until `done` holds, at most `limit` of simulated time. True when it held.
  bool RunUntil(const std::function<bool()>& done, Duration limit = std::chrono::minutes(10));
  /// Tasks and timers waiting.
  size_t pending() const { return tasks_.size() + timers_.size(); }

 private:
  bool RunOne();

  SteadyTime now_{std::chrono::seconds(1)};
  TimerId next_id_ = 1;
  std::deque<std::function<void()>> tasks_;
  std::map<std::pair<SteadyTime, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, SteadyTime> due_;
};

}  // namespace dispatch::testing
