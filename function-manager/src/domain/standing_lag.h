#pragma once

#include <algorithm>
#include <chrono>

#include "common/clock.h"

namespace dispatch {

/// How late a loop always is, as CoDel (RFC 8289) tells a standing queue from a burst: the least
/// lateness of the last one to two intervals. A batch of records, or somebody else's turn on the
/// processor, makes a loop late once; too much work makes it late all the time. Pure; one owner.
class StandingLag {
 public:
  static constexpr Duration kInterval = std::chrono::milliseconds(100);

  void Measured(SteadyTime now, Duration lag) {
    if (now - began_ < kInterval) {
      least_ = std::min(least_, lag);
      return;
    }
    // Who measured nothing for a while had nothing to do.
    before_ = now - began_ < 2 * kInterval ? least_ : Duration::zero();
    least_ = lag;
    began_ = now;
  }
  Duration lag() const { return std::min(before_, least_); }

 private:
  SteadyTime began_{};
  Duration least_{0};
  Duration before_{0};
};

}  // namespace dispatch
