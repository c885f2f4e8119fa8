#pragma once

#include "common/clock.h"

namespace dispatch {

/// Lets `events` through each `per`, evenly: what may come at once is a tenth of a second's worth,
/// so that the rate holds within any second too. Pure; one owner.
class TokenBucket {
 public:
  /// `events` need not be whole: an instance has its share of a subscription's rate.
  TokenBucket(double events, Duration per);

  /// Changes the rate; what has been let through counts.
  void SetRate(double events, Duration per);
  double per_second() const { return rate_ * 1e6; }

  bool MayTake(SteadyTime now);
  void Take(SteadyTime now);
  /// When MayTake will hold, if nothing else is taken.
  SteadyTime NextAt() const;

 private:
  void Fill(SteadyTime now);

  double rate_ = 0;  // tokens a microsecond
  double capacity_ = 1;
  double tokens_ = 1;
  SteadyTime filled_{};
};

}  // namespace dispatch
