#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dispatch::bench {

/// Latencies in microseconds; quantiles exact to the sample.
class Histogram {
 public:
  void Add(int64_t micros) { samples_.push_back(micros); }
  size_t count() const { return samples_.size(); }
  double QuantileMs(double q) {
    if (samples_.empty()) return 0;
    auto n = static_cast<std::ptrdiff_t>(q * static_cast<double>(samples_.size() - 1));
    std::nth_element(samples_.begin(), samples_.begin() + n, samples_.end());
    return static_cast<double>(samples_[static_cast<size_t>(n)]) / 1000.0;
  }

 private:
  std::vector<int64_t> samples_;
};

}  // namespace dispatch::bench
