#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/clock.h"

namespace dispatch {

/// How many attempts an endpoint takes at once, found by trying: additive increase while the limit
/// is used, a cut when it answers 429 or 503, or not at all, at most one a round trip. After a cut
/// it doubles each round trip up to half of what it had, as TCP does.
///
/// When our own loop lags, it is cut by the part of its round trips that is our lag: what more was
/// under way would only wait in us, and have everybody else's deliveries wait behind it. An
/// endpoint that is slow by itself loses nothing by that. Pure; one owner.
class EndpointLimit {
 public:
  struct Options {
    double start = 512;  // a receiver that needs 10 ms gets 20,000/s from the beginning
    double floor = 1;
    double ceiling = 10'000;
    double cut = 0.5;
    double quick_until = 32;  // doubles up to here whatever it had, and our lag cuts no deeper
    Duration lag = std::chrono::milliseconds(10);  // of our loop, that is none
  };

  EndpointLimit() : EndpointLimit(Options{}) {}
  explicit EndpointLimit(Options options);

  int32_t limit() const { return static_cast<int32_t>(limit_); }
  int32_t in_flight() const { return in_flight_; }
  /// Lower than it began.
  bool limited() const { return limit_ < options_.start; }
  bool MayStart() const { return in_flight_ < limit(); }

  enum class Sign { kGood, kOverloaded, kNeither };
  void Started() { peak_ = std::max(peak_, ++in_flight_); }
  /// `started`: when the attempt that ended now was. `lag`: how late our loop is.
  void Ended(SteadyTime started, SteadyTime now, Sign sign, Duration lag = Duration::zero());

 private:
  Options options_;
  double limit_;
  double quick_until_;
  int32_t in_flight_ = 0;
  int32_t peak_ = 0;     // of in_flight_, in about the last round trip
  int32_t answers_ = 0;  // since that was begun anew
  SteadyTime cut_{};     // attempts that were started before say nothing new
};

}  // namespace dispatch
