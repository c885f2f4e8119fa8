#include "function-manager/src/domain/circuit_breaker.h"

#include <algorithm>

#include "schema/rfc3339.h"

namespace dispatch {

namespace {

// "10:02:05Z"
std::string TimeOfDay(WallTime time) {
  std::string text =
      schema::FormatRfc3339(std::chrono::time_point_cast<std::chrono::seconds>(time));
  size_t at = text.find('T');
  return at == std::string::npos ? text : text.substr(at + 1, 8) + "Z";
}

}  // namespace

int64_t CircuitBreaker::Started() {
  if (!open_) return 0;
  ++probes_;
  return opened_;
}

bool CircuitBreaker::MayStart(SteadyTime now) const {
  return !open_ || (now >= probe_at_ && probes_ <= good_);
}

CircuitBreaker::State CircuitBreaker::state(SteadyTime now) const {
  if (!open_) return State::kClosed;
  return now < probe_at_ ? State::kOpen : State::kHalfOpen;
}

void CircuitBreaker::Ended(int64_t probe, Answer answer, const std::string& why, SteadyTime now,
                           WallTime wall, double random) {
  if (!open_) {
    bool good = answer == Answer::kGood;
    Count(good, now);
    if (!good && TooBad(now)) Open(why, now, wall, random);
    return;
  }
  // What was under way when it opened is no probe, and its answer no news.
  if (probe != opened_) return;
  --probes_;
  if (answer == Answer::kRefused && ++refused_ <= good_ + 1) return;
  if (answer != Answer::kGood) return Open(why, now, wall, random);
  if (++good_ < options_.good_to_close) return;
  open_ = false;
  closed_at_ = now;
  probes_ = good_ = refused_ = 0;
  slices_ = {};
  since_ = {};
  reason_.clear();
}

void CircuitBreaker::Count(bool good, SteadyTime now) {
  int64_t number = now.time_since_epoch() / options_.slice;
  Slice& slice = slices_[static_cast<size_t>(number % kSlices)];
  if (slice.number != number) slice = {number, 0, 0};
  good ? ++slice.good : ++slice.bad;
}

bool CircuitBreaker::TooBad(SteadyTime now) const {
  int64_t oldest = now.time_since_epoch() / options_.slice - kSlices + 1;
  int32_t good = 0;
  int32_t bad = 0;
  for (const Slice& slice : slices_) {
    if (slice.number < oldest) continue;
    good += slice.good;
    bad += slice.bad;
  }
  return good + bad >= options_.least && bad >= good;
}

void CircuitBreaker::Open(const std::string& why, SteadyTime now, WallTime wall, double random) {
  bool again = open_ || (hold_ > Duration::zero() && now - closed_at_ < options_.calm);
  hold_ = again ? std::min(2 * hold_, options_.longest_hold) : options_.first_hold;
  double factor = 1 - options_.jitter + 2 * options_.jitter * random;
  probe_at_ = now + Duration(static_cast<int64_t>(static_cast<double>(hold_.count()) * factor));
  if (!open_) since_ = wall;
  reason_ = why + " since " + TimeOfDay(since_);
  open_ = true;
  ++opened_;
  probes_ = good_ = refused_ = 0;
}

}  // namespace dispatch
