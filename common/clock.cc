#include "common/clock.h"

#include <ctime>

namespace dispatch {

namespace {

Duration Read(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return std::chrono::duration_cast<Duration>(std::chrono::seconds(t.tv_sec) +
                                              std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

WallTime SystemClock::Now() const { return WallTime(Read(CLOCK_REALTIME)); }
SteadyTime SystemClock::Steady() const { return SteadyTime(Read(CLOCK_BOOTTIME)); }

}  // namespace dispatch
