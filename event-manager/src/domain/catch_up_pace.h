#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "common/clock.h"

namespace dispatch {

/// How fast lagging readers may go beside live subscriptions: as a background transport does
/// (LEDBAT, RFC 6817), they take what the others leave. The sign that they take too much is that
/// live records come later than they did at best: whatever is short then, processor, broker or
/// network, they share it. Without live records there is no limit. Pure; one owner.
class CatchUpPace {
 public:
  struct Limits {
    // So much later than at best nine of ten live records may be; 0: no limit.
    std::chrono::milliseconds lateness{5};
    double least = 1'000;  // records a second, also when that is not enough
    double share = 0.25;   // or so much of the live rate, whichever is more
  };

  explicit CatchUpPace(Limits limits) : limits_(limits) {}

  /// A live record was read so long after it was made, by two clocks: only differences count.
  void Live(SteadyTime now, int64_t age_ms);
  /// Whether a lagging reader may take one more record now.
  bool open(SteadyTime now);
  /// It takes it. Requires open().
  void Take();
  /// Somebody would have taken one.
  void Refuse() { refused_ = true; }
  /// Records a second; nothing: no limit.
  std::optional<double> rate() const { return rate_; }

 private:
  void Look(SteadyTime now);
  void Adapt(SteadyTime now, double span);
  int64_t Best(SteadyTime now, int64_t median);

  Limits limits_;
  std::optional<double> rate_;
  double budget_ = 0;
  SteadyTime refilled_at_{};
  SteadyTime window_began_{};
  std::vector<int64_t> ages_;  // of the window
  int64_t live_ = 0;           // records in the window
  int64_t taken_ = 0;
  bool refused_ = false;
  struct Span {
    SteadyTime began;
    int64_t best;
  };
  std::deque<Span> spans_;
};

}  // namespace dispatch
