#include "function-manager/src/domain/scheduler.h"

#include <algorithm>

namespace dispatch {

namespace {

using Sign = EndpointLimit::Sign;

// Waiting lanes that one attempt's end wakes: its place, and what the endpoint's limit grew by.
constexpr int kWoken = 4;
constexpr int kSmoothing = 16;  // the moving average's weight of the past

Sign SignOf(const Answer& answer) {
  if (answer.status == 0 || answer.status == 429 || answer.status == 503) return Sign::kOverloaded;
  return answer.status < 500 ? Sign::kGood : Sign::kNeither;
}

CircuitBreaker::Answer CircuitAnswerOf(const Answer& answer) {
  using enum CircuitBreaker::Answer;
  Effect effect = EffectOf(answer);
  if (effect == Effect::kDelivered) return kGood;
  return effect == Effect::kReject && answer.status != 0 ? kRefused : kFailed;
}

// The query may hold what is nobody's business, and says nothing about where.
std::string WithoutQuery(const std::string& url) { return url.substr(0, url.find_first_of("?#")); }

}  // namespace

Lane* Scheduler::Find(const Uuid& subscription) {
  auto it = lanes_.find(subscription);
  return it == lanes_.end() ? nullptr : &it->second;
}

Lane& Scheduler::Update(const std::shared_ptr<const schema::Subscription>& subscription,
                        const std::optional<schema::Sink>& sink) {
  auto [it, fresh] = lanes_.try_emplace(subscription->uuid);
  Lane& lane = it->second;
  bool changed = lane.subscription != subscription;
  lane.subscription = subscription;
  if (fresh) {
    round_.Join(lane, subscription->org);
    lane.org_in_flight = &org_in_flight_[subscription->org];
    lane.circuit = CircuitBreaker(options_.circuit);
  }
  if (changed) SetRate(lane);
  if (sink) Aim(lane, *sink);
  if (changed && !fresh) Consider(lane);
  return lane;
}

void Scheduler::Aim(Lane& lane, const schema::Sink& sink) {
  // Without making the key: this is asked before each attempt.
  if (lane.endpoint != nullptr && lane.endpoint_url == sink.url) return;
  if (lane.endpoint != nullptr) lane.circuit = CircuitBreaker(options_.circuit);
  lane.endpoint_url = sink.url;
  std::string url = WithoutQuery(sink.url);
  std::string key = lane.subscription->org + ' ' + url;
  std::erase_if(endpoints_, [](const auto& item) { return item.second.expired(); });
  auto& known = endpoints_[key];
  lane.endpoint = known.lock();
  if (lane.endpoint != nullptr) return;
  lane.endpoint =
      std::make_shared<Endpoint>(Endpoint{key, url, EndpointLimit(options_.endpoint), {}});
  known = lane.endpoint;
}

void Scheduler::SetRate(Lane& lane) {
  const auto& limit = lane.subscription->rate_limit;
  if (!limit) return lane.rate.reset();
  double events = static_cast<double>(limit->events) * share_;
  if (lane.rate) {
    lane.rate->SetRate(events, limit->per);
  } else {
    lane.rate.emplace(events, limit->per);
  }
}

void Scheduler::SetShare(double share) {
  if (share == share_) return;
  share_ = share;
  for (auto& [id, lane] : lanes_) SetRate(lane);
}

void Scheduler::Remove(const Uuid& subscription) {
  auto it = lanes_.find(subscription);
  if (it == lanes_.end()) return;
  if (it->second.wake_at) wakes_.erase({*it->second.wake_at, subscription});
  round_.Part(it->second);
  lanes_.erase(it);
}

void Scheduler::ForEach(const std::function<void(Lane&)>& visit) {
  for (auto& [id, lane] : lanes_) visit(lane);
}

void Scheduler::Push(Lane& lane, DeliveryPtr delivery) {
  lane.queue.push_back(std::move(delivery));
  Consider(lane);
}

void Scheduler::Consider(Lane& lane) {
  if (!lane.queue.empty()) round_.Enter(lane);
}

Lane* Scheduler::Next(SteadyTime now) {
  while (auto* member = round_.Next()) {
    Lane& lane = static_cast<Lane&>(*member);
    // What was moved aside, or is its partition's no more.
    while (!lane.queue.empty() && lane.queue.front()->state != Delivery::State::kQueued) {
      lane.queue.pop_front();
    }
    if (!lane.queue.empty() && MayStart(lane, now)) return &lane;
    round_.Leave(lane);
  }
  return nullptr;
}

bool Scheduler::MayStart(Lane& lane, SteadyTime now) {
  const auto& first = *lane.queue.front();
  const auto& sink = lane.subscription->sink;
  bool gathers = sink && sink->mode == schema::DeliveryMode::kBatch && first.attempts == 0;
  SteadyTime gathered = first.since + options_.batch_wait;
  if (gathers && lane.queue.size() < options_.batch_events && now < gathered) {
    WakeAt(lane, gathered);
    return false;
  }
  // The end of an attempt of its own considers it again.
  if (lane.in_flight >= lane.subscription->max_in_flight) return false;
  if (!lane.circuit.MayStart(now)) {
    if (now < lane.circuit.probe_at()) WakeAt(lane, lane.circuit.probe_at());
    return false;
  }
  if (lane.rate && !lane.rate->MayTake(now)) {
    WakeAt(lane, lane.rate->NextAt());
    return false;
  }
  if (lane.endpoint != nullptr && !lane.endpoint->limit.MayStart()) {
    if (!lane.waits_for_endpoint) lane.endpoint->waiting.push_back(lane.subscription->uuid);
    lane.waits_for_endpoint = true;
    return false;
  }
  if (!HasPlace(lane)) {
    if (!lane.starved) starved_.push_back(lane.subscription->uuid);
    lane.starved = true;
    return false;
  }
  return true;
}

bool Scheduler::HasPlace(const Lane& lane) const {
  int32_t free = options_.max_in_flight - in_flight_;
  if (free <= 0) return false;
  if (lane.in_flight < options_.always) return true;
  return lane.in_flight < free && *lane.org_in_flight < 2 * free;
}

Scheduler::Ticket Scheduler::Started(Lane& lane, SteadyTime now) {
  if (lane.in_flight == 0) lane.last_answer = now;
  ++lane.in_flight;
  ++*lane.org_in_flight;
  ++in_flight_;
  if (lane.rate) lane.rate->Take(now);
  if (lane.endpoint != nullptr) lane.endpoint->limit.Started();
  round_.Charge(lane, lane.usual);
  return {lane.endpoint, now, lane.usual, lane.circuit.Started()};
}

bool Scheduler::Ended(Lane& lane, const Ticket& ticket, const Answer& answer,
                      const std::string& why, SteadyTime now, WallTime wall) {
  --lane.in_flight;
  --*lane.org_in_flight;
  --in_flight_;
  lane.last_answer = now;
  lane.last_failure = why;
  Duration took = now - ticket.started;
  round_.Charge(lane, took - ticket.estimate);
  lane.usual += (took - lane.usual) / kSmoothing;
  if (ticket.endpoint != nullptr) {
    ticket.endpoint->limit.Ended(ticket.started, now, SignOf(answer), lag_.lag());
    WakeEndpoint(*ticket.endpoint);
  }
  auto before = lane.circuit.state(now);
  // An endpoint that it no longer goes to says nothing about the one that it does.
  if (ticket.endpoint == lane.endpoint) {
    lane.circuit.Ended(ticket.probe, CircuitAnswerOf(answer), why, now, wall, random_());
  }
  WakeStarved();
  Consider(lane);
  return lane.circuit.state(now) != before;
}

void Scheduler::WakeAt(Lane& lane, SteadyTime time) {
  if (lane.wake_at) wakes_.erase({*lane.wake_at, lane.subscription->uuid});
  lane.wake_at = time;
  wakes_.emplace(time, lane.subscription->uuid);
}

std::optional<SteadyTime> Scheduler::wake_at() const {
  if (wakes_.empty()) return std::nullopt;
  return wakes_.begin()->first;
}

void Scheduler::Wake(SteadyTime now) {
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    Lane* lane = Find(wakes_.begin()->second);
    wakes_.erase(wakes_.begin());
    if (lane == nullptr) continue;
    lane->wake_at.reset();
    Consider(*lane);
  }
}

void Scheduler::WakeEndpoint(Endpoint& endpoint) {
  // The last one out wakes all: nobody else would.
  int left = endpoint.limit.in_flight() == 0 ? INT32_MAX : kWoken;
  for (; left > 0 && !endpoint.waiting.empty(); --left) {
    Lane* lane = Find(endpoint.waiting.front());
    endpoint.waiting.pop_front();
    if (lane == nullptr) continue;
    lane->waits_for_endpoint = false;
    Consider(*lane);
  }
}

void Scheduler::WakeStarved() {
  int left = in_flight_ == 0 ? INT32_MAX : kWoken;
  for (; left > 0 && !starved_.empty(); --left) {
    Lane* lane = Find(starved_.front());
    starved_.pop_front();
    if (lane == nullptr) continue;
    lane->starved = false;
    Consider(*lane);
  }
}

bool Scheduler::Stalled(const Lane& lane, SteadyTime now, Duration limit) {
  if (lane.circuit.state(now) != CircuitBreaker::State::kClosed) return true;
  return lane.in_flight > 0 && now - lane.last_answer >= limit;
}

Duration Scheduler::HoldFor(const Lane& lane, int64_t rows, SteadyTime now) const {
  // Spread, so that they do not all come at once; the first ones are the probes.
  Duration spread = std::chrono::seconds(10);
  Duration wait = std::chrono::seconds(1);
  if (lane.circuit.state(now) != CircuitBreaker::State::kClosed) {
    wait = std::max(Duration::zero(), lane.circuit.probe_at() - now);
    spread = std::max<Duration>(std::chrono::seconds(1), lane.circuit.hold());
  } else if (lane.rate && lane.rate->per_second() > 0) {
    spread = Duration(
        static_cast<int64_t>(static_cast<double>(rows + 1) / lane.rate->per_second() * 1e6));
  }
  return wait + Duration(static_cast<int64_t>(static_cast<double>(spread.count()) * random_()));
}

}  // namespace dispatch
