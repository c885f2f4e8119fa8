#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/clock.h"

namespace dispatch {

/// The circuit of one subscription's endpoint. Closed: attempts go. It opens when half of 20 and
/// more answers within 10 s are failures, or refusals (3xx and 4xx that make dead letters: most
/// likely the endpoint is set up wrongly, and the rest of the events must not go the same way).
/// Open: none go, until a hold with jitter is over that doubles each time. Half-open: one probe; as
/// long as answers are good, twice as many each time; then closed. A refusal among them is the
/// event's fault as likely as the endpoint's: only two more of them than good answers open it
/// again. Pure; one owner.
class CircuitBreaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };
  enum class Answer { kGood, kRefused, kFailed };
  struct Options {
    int32_t least = 20;  // answers in the window
    Duration slice = std::chrono::seconds(1);
    Duration first_hold = std::chrono::seconds(1);
    Duration longest_hold = std::chrono::seconds(3);
    double jitter = 0.2;                       // the hold is drawn from [1 - jitter, 1 + jitter]
    int32_t good_to_close = 5;                 // answers while half-open
    Duration calm = std::chrono::seconds(30);  // closed for so long: the next hold is the first
  };

  CircuitBreaker() : CircuitBreaker(Options{}) {}
  explicit CircuitBreaker(Options options) : options_(options) {}

  /// An attempt starts; the answer goes with it to its end, and tells probes from the others.
  int64_t Started();
  /// `why`: what is wrong, for people. `random` is uniform in [0, 1), for the jitter.
  void Ended(int64_t probe, Answer answer, const std::string& why, SteadyTime now, WallTime wall,
             double random);

  bool MayStart(SteadyTime now) const;
  State state(SteadyTime now) const;
  /// When an open circuit lets its first probe through.
  SteadyTime probe_at() const { return probe_at_; }
  Duration hold() const { return hold_; }
  /// When the circuit opened, and why: "503 from http://host since 10:02:05Z". Empty when closed.
  WallTime since() const { return since_; }
  const std::string& reason() const { return reason_; }

 private:
  static constexpr int kSlices = 10;
  struct Slice {
    int64_t number = -1;
    int32_t good = 0;
    int32_t bad = 0;
  };

  void Count(bool good, SteadyTime now);
  bool TooBad(SteadyTime now) const;
  void Open(const std::string& why, SteadyTime now, WallTime wall, double random);

  Options options_;
  bool open_ = false;   // or half-open
  int64_t opened_ = 0;  // times
  std::array<Slice, kSlices> slices_{};
  Duration hold_{0};
  SteadyTime probe_at_{};
  SteadyTime closed_at_{};
  int32_t probes_ = 0;  // under way
  int32_t good_ = 0;    // half-open
  int32_t refused_ = 0;
  WallTime since_{};
  std::string reason_;
};

}  // namespace dispatch
