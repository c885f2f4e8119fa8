#include "function-manager/src/domain/lane_metrics.h"

#include <iterator>
#include <set>

namespace dispatch {

namespace {

using State = CircuitBreaker::State;

constexpr size_t kMostShown = 100;
constexpr char kCircuit[] = "dispatch_subscription_circuit";
constexpr char kLimit[] = "dispatch_endpoint_limit";

metrics::Labels LabelsOf(const std::pair<std::string, std::string>& name) {
  return {{"org", name.first}, {"subscription", name.second}};
}

}  // namespace

LaneMetrics::LaneMetrics()
    : in_flight_(metrics::GetGauge("dispatch_delivery_in_flight", "Attempts under way")),
      queued_(metrics::GetGauge("dispatch_delivery_queued", "Deliveries that wait for their turn")),
      open_(metrics::GetGauge("dispatch_circuits", "Subscriptions that are held back, by circuit",
                              {{"state", "open"}})),
      half_open_(metrics::GetGauge("dispatch_circuits",
                                   "Subscriptions that are held back, by circuit",
                                   {{"state", "half-open"}})),
      keys_(metrics::GetGauge("dispatch_ordered_keys", "Keys with a delivery on the way")),
      blocked_(metrics::GetGauge("dispatch_ordered_keys_blocked",
                                 "Keys with deliveries in the retry store")) {}

LaneMetrics::~LaneMetrics() {
  for (const auto& [name, shown] : shown_) Forget(name);
}

void LaneMetrics::Forget(const Name& name) {
  metrics::Remove(kCircuit, LabelsOf(name));
  metrics::Remove(kLimit, LabelsOf(name));
}

void LaneMetrics::Update(Scheduler& scheduler, SteadyTime now, size_t keys, size_t blocked) {
  size_t queued = 0;
  int open = 0;
  int half_open = 0;
  std::set<Name> held_back;
  scheduler.ForEach([&](Lane& lane) {
    queued += lane.queue.size();
    State state = lane.circuit.state(now);
    open += state == State::kOpen ? 1 : 0;
    half_open += state == State::kHalfOpen ? 1 : 0;
    bool limited = lane.endpoint != nullptr && lane.endpoint->limit.limited();
    if (state == State::kClosed && !limited) return;
    Name name{lane.subscription->org, lane.subscription->name};
    auto it = shown_.find(name);
    if (it == shown_.end()) {
      if (shown_.size() >= kMostShown) return;
      it = shown_
               .emplace(
                   name,
                   Shown{
                       metrics::GetGauge(kCircuit, "0 closed, 1 open, 2 half-open", LabelsOf(name)),
                       metrics::GetGauge(kLimit, "Attempts at once that it takes", LabelsOf(name))})
               .first;
    }
    held_back.insert(name);
    it->second.circuit.Set(static_cast<double>(state));
    if (lane.endpoint != nullptr) it->second.limit.Set(lane.endpoint->limit.limit());
  });
  for (auto it = shown_.begin(); it != shown_.end();) {
    if (!held_back.contains(it->first)) Forget(it->first);
    it = held_back.contains(it->first) ? std::next(it) : shown_.erase(it);
  }
  in_flight_.Set(scheduler.in_flight());
  queued_.Set(static_cast<double>(queued));
  open_.Set(open);
  half_open_.Set(half_open);
  keys_.Set(static_cast<double>(keys));
  blocked_.Set(static_cast<double>(blocked));
}

}  // namespace dispatch
