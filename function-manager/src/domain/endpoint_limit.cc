#include "function-manager/src/domain/endpoint_limit.h"

#include <algorithm>

namespace dispatch {

EndpointLimit::EndpointLimit(Options options)
    : options_(options), limit_(options.start), quick_until_(options.start) {}

void EndpointLimit::Ended(SteadyTime started, SteadyTime now, Sign sign) {
  bool used = 2 * peak_ >= limit();
  --in_flight_;
  if (++answers_ >= peak_) {
    answers_ = 0;
    peak_ = in_flight_;
  }
  if (sign == Sign::kGood && used) {
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
