#include "event-manager/src/domain/catch_up_pace.h"

#include <algorithm>

namespace dispatch {

namespace {
// A window ends when it has enough ages to tell something, or is long.
constexpr Duration kWindow = std::chrono::milliseconds(100);
constexpr Duration kLongest = std::chrono::seconds(1);
constexpr size_t kEnough = 5;
constexpr size_t kAges = 1'024;  // kept of a window
constexpr double kBurst = 0.02;  // seconds of the rate at once
constexpr double kRise = 0.1;    // a window
constexpr double kFall = 0.3;
constexpr Duration kSpan = std::chrono::seconds(10);
constexpr size_t kSpans = 60;  // the best of ten minutes: clocks drift, and machines change

double Seconds(Duration span) { return std::chrono::duration<double>(span).count(); }

int64_t Quantile(std::vector<int64_t>& values, double q) {
  auto at = values.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}
}  // namespace

void CatchUpPace::Live(SteadyTime now, int64_t age_ms) {
  Look(now);
  ++live_;
  if (ages_.size() < kAges) ages_.push_back(age_ms);
}

bool CatchUpPace::open(SteadyTime now) {
  Look(now);
  if (!rate_) return true;
  budget_ = std::min(budget_ + Seconds(now - refilled_at_) * *rate_, *rate_ * kBurst);
  refilled_at_ = now;
  return budget_ >= 1;
}

void CatchUpPace::Take() {
  ++taken_;
  budget_ -= 1;
}

void CatchUpPace::Look(SteadyTime now) {
  Duration span = now - window_began_;
  if (span < kWindow || (ages_.size() < kEnough && span < kLongest)) return;
  if (ages_.empty() || limits_.lateness.count() == 0) {
    rate_.reset();
  } else {
    Adapt(now, Seconds(span));
  }
  window_began_ = now;
  ages_.clear();
  live_ = taken_ = 0;
  refused_ = false;
}

void CatchUpPace::Adapt(SteadyTime now, double span) {
  int64_t late = Quantile(ages_, 0.9) - Best(now, Quantile(ages_, 0.5));
  auto allowed = static_cast<double>(limits_.lateness.count());
  double room = std::clamp((allowed - static_cast<double>(late)) / allowed, -3.0, 1.0);
  if (!rate_ && room < 0 && taken_ > 0) {
    rate_ = static_cast<double>(taken_) / span;
    refilled_at_ = now;
    budget_ = 0;
  }
  // That nobody was refused is no reason to allow more.
  if (!rate_ || (room > 0 && !refused_)) return;
  double least = std::max(limits_.least, limits_.share * static_cast<double>(live_) / span);
  *rate_ = std::max(least, *rate_ * (1 + room * (room < 0 ? kFall / 3 : kRise)));
}

int64_t CatchUpPace::Best(SteadyTime now, int64_t median) {
  if (spans_.empty() || now - spans_.back().began >= kSpan) spans_.push_back({now, median});
  if (spans_.size() > kSpans) spans_.pop_front();
  spans_.back().best = std::min(spans_.back().best, median);
  return std::min_element(spans_.begin(), spans_.end(),
                          [](const Span& a, const Span& b) { return a.best < b.best; })
      ->best;
}

}  // namespace dispatch
