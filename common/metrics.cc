#include "common/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <variant>

#include "common/check.h"

namespace dispatch::metrics {

namespace {

// prometheus-cpp's own families delete a removed metric under its holders; these share it.
template <typename Metric>
using Shared = std::shared_ptr<Metric>;
using AnyMetric = std::variant<Shared<prometheus::Counter>, Shared<prometheus::Gauge>,
                               Shared<prometheus::Histogram>>;

struct Family {
  std::string help;
  std::map<Labels, AnyMetric> metrics;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Family> families;
  std::vector<std::weak_ptr<Collect>> collectors;
};

Registry& TheRegistry() {
  static auto* registry = new Registry();
  return *registry;
}

template <typename Metric, typename... Args>
std::shared_ptr<void> Get(const std::string& name, const std::string& help, const Labels& labels,
                          const Args&... args) {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  Family& family = registry.families[name];
  if (family.help.empty()) family.help = help;
  auto it = family.metrics.find(labels);
  if (it == family.metrics.end()) {
    // One name is one kind.
    DISPATCH_CHECK(family.metrics.empty() ||
                   std::holds_alternative<Shared<Metric>>(family.metrics.begin()->second));
    it = family.metrics.emplace(labels, std::make_shared<Metric>(args...)).first;
  }
  auto* metric = std::get_if<Shared<Metric>>(&it->second);
  DISPATCH_CHECK(metric != nullptr);
  return *metric;
}

template <typename Metric>
Metric* As(const std::shared_ptr<void>& handle) {
  return static_cast<Metric*>(handle.get());
}

}  // namespace

void Counter::Add(double value) const {
  if (handle) As<prometheus::Counter>(handle)->Increment(value);
}
double Counter::Value() const { return handle ? As<prometheus::Counter>(handle)->Value() : 0; }

void Gauge::Set(double value) const {
  if (handle) As<prometheus::Gauge>(handle)->Set(value);
}
void Gauge::Add(double value) const {
  if (handle) As<prometheus::Gauge>(handle)->Increment(value);
}
double Gauge::Value() const { return handle ? As<prometheus::Gauge>(handle)->Value() : 0; }

void Histogram::Observe(double value) const {
  if (handle) As<prometheus::Histogram>(handle)->Observe(value);
}

const std::vector<double>& LatencyBuckets() {
  static const auto* buckets = new std::vector<double>{
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return *buckets;
}

Counter GetCounter(const std::string& name, const std::string& help, const Labels& labels) {
  return {Get<prometheus::Counter>(name, help, labels)};
}

Gauge GetGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return {Get<prometheus::Gauge>(name, help, labels)};
}

Histogram GetHistogram(const std::string& name, const std::string& help, const Labels& labels,
                       const std::vector<double>& buckets) {
  return {Get<prometheus::Histogram>(name, help, labels, buckets)};
}

void Remove(const std::string& name, const Labels& labels) {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  auto family = registry.families.find(name);
  if (family == registry.families.end()) return;
  family->second.metrics.erase(labels);
  if (family->second.metrics.empty()) registry.families.erase(family);
}

std::shared_ptr<void> AddCollector(Collect collect) {
  Registry& registry = TheRegistry();
  auto handle = std::make_shared<Collect>(std::move(collect));
  std::lock_guard lock(registry.mutex);
  registry.collectors.push_back(handle);
  return handle;
}

namespace {

std::vector<std::shared_ptr<Collect>> Collectors() {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  std::erase_if(registry.collectors, [](const auto& weak) { return weak.expired(); });
  std::vector<std::shared_ptr<Collect>> collectors;
  for (const auto& weak : registry.collectors) {
    if (auto collector = weak.lock()) collectors.push_back(std::move(collector));
  }
  return collectors;
}

prometheus::MetricFamily ToFamily(SampleFamily&& in) {
  prometheus::MetricFamily out;
  out.name = std::move(in.name);
  out.help = std::move(in.help);
  bool counter = in.kind == SampleFamily::Kind::kCounter;
  out.type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (auto& [labels, value] : in.samples) {
    auto& metric = out.metric.emplace_back();
    (counter ? metric.counter.value : metric.gauge.value) = value;
    for (const auto& [label, text] : labels) metric.label.push_back({label, text});
  }
  return out;
}

}  // namespace

std::string Serialize() {
  std::vector<prometheus::MetricFamily> families;
  {
    Registry& registry = TheRegistry();
    std::lock_guard lock(registry.mutex);
    families.reserve(registry.families.size());
    for (const auto& [name, family] : registry.families) {
      prometheus::MetricFamily out;
      out.name = name;
      out.help = family.help;
      for (const auto& [labels, any] : family.metrics) {
        std::visit(
            [&](const auto& metric) {
              out.type = std::decay_t<decltype(*metric)>::metric_type;
              auto& collected = out.metric.emplace_back(metric->Collect());
              for (const auto& [label, value] : labels) collected.label.push_back({label, value});
            },
            any);
      }
      families.push_back(std::move(out));
    }
  }
  for (const auto& collect : Collectors()) {
    for (auto& family : (*collect)()) families.push_back(ToFamily(std::move(family)));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace dispatch::metrics
