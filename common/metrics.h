#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace dispatch::metrics {

using Labels = std::map<std::string, std::string>;

/// Handles are cheap to copy, outlive Remove, and are thread-safe. Keep them: looking one up costs.
class Counter {
 public:
  void Add(double value = 1) const;
  double Value() const;
  std::shared_ptr<void> handle;  // none: does nothing
};
class Gauge {
 public:
  void Set(double value) const;
  void Add(double value) const;
  double Value() const;
  std::shared_ptr<void> handle;  // none: does nothing
};
class Histogram {
 public:
  void Observe(double value) const;
  std::shared_ptr<void> handle;  // none: does nothing
};

/// Seconds, 0.5 ms to 60 s.
const std::vector<double>& LatencyBuckets();

/// The process's registry (one of the two globals the house allows, beside the log). The same name
/// and labels give the same metric. Names are Prometheus names: dispatch_<area>_<what>_<unit>.
Counter GetCounter(const std::string& name, const std::string& help, const Labels& labels = {});
Gauge GetGauge(const std::string& name, const std::string& help, const Labels& labels = {});
Histogram GetHistogram(const std::string& name, const std::string& help, const Labels& labels = {},
                       const std::vector<double>& buckets = LatencyBuckets());
/// A family whose samples are made when they are asked for: for what has many labels, or is known
/// as a whole.
struct SampleFamily {
  enum class Kind { kCounter, kGauge };
  std::string name;
  std::string help;
  Kind kind = Kind::kGauge;
  std::vector<std::pair<Labels, double>> samples;
};
/// Serialize asks `collect`, on the thread that it runs on, until the handle is let go of.
using Collect = std::function<std::vector<SampleFamily>()>;
std::shared_ptr<void> AddCollector(Collect collect);

/// Drops a metric whose object is gone, so that the registry stays bounded.
void Remove(const std::string& name, const Labels& labels);

/// The registry in the Prometheus text format 0.0.4.
std::string Serialize();

}  // namespace dispatch::metrics
