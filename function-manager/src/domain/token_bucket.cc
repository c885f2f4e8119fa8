#include "function-manager/src/domain/token_bucket.h"

#include <algorithm>
#include <cmath>

namespace dispatch {

namespace {
constexpr double kBurstMicros = 100'000;
constexpr double kNearlyOne = 1 - 1e-6;  // sums of fractions
}  // namespace

TokenBucket::TokenBucket(double events, Duration per) {
  SetRate(events, per);
  tokens_ = capacity_;
}

void TokenBucket::SetRate(double events, Duration per) {
  rate_ = events / static_cast<double>(std::max<int64_t>(1, per.count()));
  capacity_ = std::max(1.0, rate_ * kBurstMicros);
  tokens_ = std::min(tokens_, capacity_);
}

void TokenBucket::Fill(SteadyTime now) {
  if (now <= filled_) return;
  tokens_ = std::min(capacity_, tokens_ + static_cast<double>((now - filled_).count()) * rate_);
  filled_ = now;
}

bool TokenBucket::MayTake(SteadyTime now) {
  Fill(now);
  return tokens_ >= kNearlyOne;
}

void TokenBucket::Take(SteadyTime now) {
  Fill(now);
  tokens_ -= 1;
}

SteadyTime TokenBucket::NextAt() const {
  if (tokens_ >= kNearlyOne) return filled_;
  if (rate_ <= 0) return filled_ + std::chrono::seconds(1);
  return filled_ + Duration(static_cast<int64_t>(std::ceil((1 - tokens_) / rate_)));
}

}  // namespace dispatch
