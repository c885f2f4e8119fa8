#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

namespace dispatch {

using Duration = std::chrono::microseconds;

/// Wall time, microseconds since the Unix epoch. Only for what people or other machines see.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

/// Time that only rises, counts time asleep too (CLOCK_BOOTTIME), and has no meaning outside the
/// process. All deadlines and intervals use it.
struct SteadyClockTag {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<SteadyClockTag, Duration>;
  static constexpr bool is_steady = true;
};
using SteadyTime = SteadyClockTag::time_point;

/// Tells the time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;
  virtual SteadyTime Steady() const = 0;
};

/// The machine's clocks.
class SystemClock : public Clock {
 public:
  WallTime Now() const override;
  SteadyTime Steady() const override;
};

inline int64_t ToMicros(WallTime t) { return t.time_since_epoch().count(); }
inline int64_t ToMillis(WallTime t) { return t.time_since_epoch().count() / 1000; }
inline WallTime FromMillis(int64_t ms) { return WallTime(std::chrono::milliseconds(ms)); }

/// Runs closures on one owner, in the order given. Post is thread-safe; the closures run one at a
/// time, never inside Post.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(std::function<void()> task) = 0;
};

using TimerId = uint64_t;
inline constexpr TimerId kNoTimer = 0;

/// One-shot timers of one owner. Not thread-safe: call from the owner's executor.
class Timers {
 public:
  virtual ~Timers() = default;
  /// Runs `task` once after `delay` on the owner. Never returns kNoTimer.
  virtual TimerId After(Duration delay, std::function<void()> task) = 0;
  /// As After, but up to 100 ms later, so that it comes with what else the owner wakes for: for
  /// what is looked at over and over, mostly for nothing.
  virtual TimerId AfterAbout(Duration delay, std::function<void()> task) {
    return After(delay, std::move(task));
  }
  /// Does nothing for a timer that fired, was cancelled, or kNoTimer.
  virtual void Cancel(TimerId timer) = 0;
};

/// What a component that lives on one owner needs of the outside world.
class Loop : public Executor, public Timers, public Clock {};

}  // namespace dispatch
