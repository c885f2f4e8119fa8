#include "function-manager/src/domain/endpoint_limit.h"

#include <algorithm>

namespace dispatch {

EndpointLimit::EndpointLimit(Options options)
    : options_(options), limit_(options.start), quick_until_(options.start) {}

void EndpointLimit::Ended(SteadyTime started, SteadyTime now, Sign sign, Duration lag) {
  bool used = 2 * peak_ >= limit();
  --in_flight_;
  if (++answers_ >= peak_) {
    answers_ = 0;
    peak_ = in_flight_;
  }
  if (sign == Sign::kGood && lag > options_.lag) {
    if (started < cut_ || limit_ <= options_.quick_until) return;
    auto took = std::max<double>(static_cast<double>((now - started).count()), 1);
    auto ours = std::min(static_cast<double>((lag - options_.lag).count()), took / 2);
    double had = std::min(limit_, static_cast<double>(peak_ + 1));
    limit_ = std::max(options_.quick_until, had * (1 - ours / took));
    quick_until_ = limit_;
    cut_ = now;
  } else if (sign == Sign::kGood && used) {
    limit_ += limit_ < quick_until_ ? 1 : 1 / limit_;
    limit_ = std::min(limit_, options_.ceiling);
  } else if (sign == Sign::kOverloaded && started >= cut_) {
    // No higher than what was under way: an unused limit says nothing.
    double had = std::min(limit_, static_cast<double>(in_flight_ + 1));
    limit_ = std::max(options_.floor, had * options_.cut);
    quick_until_ = std::max(options_.quick_until, limit_);
    cut_ = now;
  }
}

}  // namespace dispatch
