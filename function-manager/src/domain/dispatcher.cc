#include "function-manager/src/domain/dispatcher.h"

#include <algorithm>
#include <vector>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/domain/retry_schedule.h"

namespace dispatch {

namespace {

using State = Delivery::State;

const metrics::Counter& AttemptCounter(Effect effect) {
  static const char* const kName = "dispatch_delivery_attempts_total";
  static const char* const kHelp = "Attempts to deliver an event, by what came of them";
  static const metrics::Counter counters[] = {
      metrics::GetCounter(kName, kHelp, {{"outcome", "delivered"}}),
      metrics::GetCounter(kName, kHelp, {{"outcome", "retry"}}),
      metrics::GetCounter(kName, kHelp, {{"outcome", "rejected"}}),
      metrics::GetCounter(kName, kHelp, {{"outcome", "gone"}}),
  };
  return counters[static_cast<int>(effect)];
}

}  // namespace

Dispatcher::Dispatcher(Loop& loop, Host& host, broker::Producer& dead_letters,
                       const Catalog& catalog, Sender& sender, AttemptLog& attempts,
                       std::function<double()> random, Options options)
    : loop_(loop),
      host_(host),
      dead_letters_(dead_letters),
      catalog_(catalog),
      sender_(sender),
      attempts_(attempts),
      random_(std::move(random)),
      options_(options) {}

Dispatcher::~Dispatcher() { loop_.Cancel(resume_); }

Lane& Dispatcher::LaneOf(const std::shared_ptr<const schema::Subscription>& subscription) {
  Lane& lane = lanes_[subscription->uuid];
  lane.subscription = subscription;
  return lane;
}

void Dispatcher::Take(DeliveryPtr delivery) {
  auto partition = delivery->partition.lock();
  if (partition == nullptr || delivery->state == State::kDone) return;
  bool held = delivery->state == State::kHeld && delivery->since != SteadyTime{};
  Duration waited = held ? loop_.Steady() - delivery->since : Duration::zero();
  auto found = catalog_.Find(delivery->id.subscription, delivery->target.version, waited);
  if (found.known == Catalog::Known::kNotYet) {
    // Never dropped: it waits until the cache knows its subscription, or knows that it is gone.
    if (!held) delivery->since = loop_.Steady();
    delivery->state = State::kHeld;
    return;
  }
  bool cancelled = found.known == Catalog::Known::kDeleted ||
                   found.subscription->generation > delivery->id.generation;
  if (cancelled) return Finish(delivery, InvocationPartition::Outcome::kCancelled);
  delivery->state = State::kQueued;
  delivery->since = loop_.Steady();
  Lane& lane = LaneOf(found.subscription);
  lane.queue.push_back(std::move(delivery));
  Pump(lane);
}

void Dispatcher::TakeAfter(DeliveryPtr delivery, std::chrono::milliseconds delay) {
  if (delay.count() <= 0) return Take(std::move(delivery));
  WaitInMemory(delivery, delay);
}

void Dispatcher::Pump(Lane& lane) {
  if (pumping_) return;  // the loop below goes on with it
  pumping_ = true;
  while (lane.MayStart()) {
    if (host_.membership_age() > options_.membership_limit) {
      // We may have been replaced: hold everything until the group confirms us.
      if (resume_ == kNoTimer) {
        resume_ = loop_.After(options_.hold_retry, [this] {
          resume_ = kNoTimer;
          for (auto& [id, lane] : lanes_) Pump(lane);
        });
      }
      break;
    }
    if (in_flight_ >= options_.max_in_flight) {
      if (!lane.starved) starved_.push_back(lane.subscription->uuid);
      lane.starved = true;
      break;
    }
    DeliveryPtr delivery = std::move(lane.queue.front());
    lane.queue.pop_front();
    auto partition = delivery->partition.lock();
    if (partition == nullptr || delivery->state != State::kQueued) continue;
    if (host_.revoking(partition->partition())) continue;
    Attempt(lane, std::move(delivery));
  }
  pumping_ = false;
}

void Dispatcher::PumpStarved() {
  // Each lane that waited for a place gets its turn, round robin.
  while (!starved_.empty() && in_flight_ < options_.max_in_flight) {
    Uuid id = starved_.front();
    starved_.pop_front();
    auto it = lanes_.find(id);
    if (it == lanes_.end()) continue;
    it->second.starved = false;
    Pump(it->second);
  }
}

void Dispatcher::Attempt(Lane& lane, DeliveryPtr delivery) {
  const schema::Subscription& subscription = *lane.subscription;
  auto sink = catalog_.SinkOf(subscription);
  if (!sink) {
    Answer answer;
    answer.failure = "no-endpoint";
    answer.retry_after = options_.no_sink_delay;
    Retry(delivery, subscription, answer,
          "function " + subscription.function + " does not exist or is not ready", false);
    return;
  }
  auto partition = delivery->partition.lock();
  delivery->state = State::kInFlight;
  delivery->since = loop_.Steady();
  if (delivery->first_attempt_ms == 0) delivery->first_attempt_ms = now_ms();
  if (lane.in_flight == 0) lane.last_answer = loop_.Steady();
  ++lane.in_flight;
  ++in_flight_;
  ++in_flight_by_partition_[partition->partition()];
  SendRequest request;
  request.sink = *sink;
  request.webhook_id = delivery->id.WebhookId();
  request.attempt = delivery->attempts + 1;
  request.timeout = subscription.timeout;
  request.event = delivery->event;
  sender_.Send(std::move(request),
               [this, alive = std::weak_ptr(alive_), delivery, uuid = subscription.uuid,
                index = partition->partition(), sink = *sink](Answer answer) {
                 if (alive.expired()) return;
                 --in_flight_;
                 if (--in_flight_by_partition_[index] == 0) in_flight_by_partition_.erase(index);
                 Answered(delivery, uuid, sink, std::move(answer));
                 PumpStarved();
               });
}

void Dispatcher::Answered(const DeliveryPtr& delivery, const Uuid& uuid, const schema::Sink& sink,
                          Answer answer) {
  auto lane = lanes_.find(uuid);
  if (lane == lanes_.end()) return;
  // The newest settings count for what comes next; the lane may outlive the subscription.
  auto subscription = lane->second.subscription;
  --lane->second.in_flight;
  lane->second.last_answer = loop_.Steady();
  Effect effect = EffectOf(answer);
  AttemptCounter(effect).Add();
  std::string described = effect == Effect::kDelivered ? "" : Describe(answer, sink.url);
  lane->second.last_failure = described;

  auto partition = delivery->partition.lock();
  if (partition != nullptr && delivery->state == State::kInFlight) {
    ++delivery->attempts;
    delivery->last_status = answer.status;
    delivery->last_error = described;
    auto& account = partition->accounts()[uuid];
    account.last_failure = described;
    account.changed = true;
    switch (effect) {
      case Effect::kDelivered:
        Log(*delivery, *subscription, answer, "delivered", "", 0);
        Finish(delivery, InvocationPartition::Outcome::kDelivered);
        break;
      case Effect::kRetry:
        Retry(delivery, *subscription, answer, described, true);
        break;
      case Effect::kReject:
        Log(*delivery, *subscription, answer, "dead-lettered", described, 0);
        Bury(delivery, subscription->name, "rejected");
        break;
      case Effect::kGone:
        Log(*delivery, *subscription, answer, "dead-lettered", described, 0);
        host_.DisableSubscription(*subscription, described);
        Bury(delivery, subscription->name, "gone");
        break;
    }
  }
  // The handlers above may have changed the lanes.
  lane = lanes_.find(uuid);
  if (lane == lanes_.end()) return;
  Pump(lane->second);
  if (lane->second.deleted && lane->second.in_flight == 0) lanes_.erase(lane);
}

void Dispatcher::Retry(const DeliveryPtr& delivery, const schema::Subscription& subscription,
                       const Answer& answer, const std::string& described, bool counted) {
  auto partition = delivery->partition.lock();
  std::optional<std::chrono::milliseconds> delay;
  if (counted) {
    std::chrono::milliseconds age(now_ms() - delivery->first_attempt_ms);
    delay = NextDelay(subscription.retry, delivery->attempts, age, answer, random_());
    Log(*delivery, subscription, answer, delay ? "retry" : "dead-lettered", described,
        delay ? now_ms() + delay->count() : 0);
    if (!delay) return Bury(delivery, subscription.name, "attempts-exhausted");
  } else {
    delay = answer.retry_after;
    delivery->last_error = described;
  }
  bool roomy = partition->tracker().half_empty() || delivery->record_offset < 0;
  bool short_wait = *delay <= options_.memory_wait;
  if (short_wait && roomy && !delivery->has_row) return WaitInMemory(delivery, *delay);
  if (delivery->has_row || MaySpill(*partition, subscription.uuid)) {
    partition->Spill(*delivery, now_ms() + delay->count(), false);
  } else {
    WaitInMemory(delivery, *delay);
  }
}

void Dispatcher::WaitInMemory(const DeliveryPtr& delivery, std::chrono::milliseconds delay) {
  delivery->state = State::kWaiting;
  delivery->since = loop_.Steady();
  delivery->timer =
      loop_.After(delay, [this, alive = std::weak_ptr(alive_), waiting = std::weak_ptr(delivery)] {
        if (alive.expired()) return;
        auto delivery = waiting.lock();
        if (delivery != nullptr && delivery->state == State::kWaiting) Take(delivery);
      });
}

void Dispatcher::Bury(const DeliveryPtr& delivery, const std::string& subscription_name,
                      const std::string& reason) {
  delivery->state = State::kBurying;
  delivery->since = loop_.Steady();
  schema::DeadLetter letter;
  letter.id = delivery->id;
  letter.org = delivery->org;
  letter.topic = delivery->topic;
  letter.subscription = subscription_name;
  letter.reason = reason;
  letter.message = delivery->last_error;
  letter.attempts = delivery->attempts;
  letter.last_status = delivery->last_status;
  letter.first_attempt_ms = delivery->first_attempt_ms;
  letter.last_attempt_ms = letter.dead_lettered_ms = now_ms();
  letter.event = *delivery->event;
  broker::ProduceRecord record;
  record.topic = broker::kDeadLettersTopic;
  record.key = delivery->id.subscription.ToBytes();
  record.value = schema::Encode(letter);
  auto again = [this, alive = std::weak_ptr(alive_), delivery, subscription_name, reason] {
    loop_.After(std::chrono::seconds(1), [this, alive, delivery, subscription_name, reason] {
      if (alive.expired() || delivery->partition.expired()) return;
      if (delivery->state == State::kBurying) Bury(delivery, subscription_name, reason);
    });
  };
  auto status = dead_letters_.Produce(
      std::move(record),
      [this, alive = std::weak_ptr(alive_), delivery, again](Result<broker::Position> written) {
        if (alive.expired()) return;
        // Not written is not terminal.
        if (!written.ok()) return again();
        if (delivery->state == State::kBurying) {
          Finish(delivery, InvocationPartition::Outcome::kDeadLettered);
        }
      });
  if (!status.ok()) again();
}

void Dispatcher::Finish(const DeliveryPtr& delivery, InvocationPartition::Outcome outcome) {
  loop_.Cancel(delivery->timer);
  if (auto partition = delivery->partition.lock()) partition->Settle(*delivery, outcome);
  delivery->state = State::kDone;
}

bool Dispatcher::MaySpill(const InvocationPartition& partition, const Uuid& subscription) {
  auto& accounts = const_cast<InvocationPartition&>(partition).accounts();
  return partition.unsaved_rows() < options_.max_unsaved_rows &&
         partition.rows() < options_.max_rows_per_partition &&
         accounts[subscription].rows < options_.max_rows_per_subscription;
}

void Dispatcher::SubscriptionChanged(const Uuid& subscription) {
  auto it = lanes_.find(subscription);
  if (it == lanes_.end()) return;
  auto found = catalog_.Find(subscription, 0, Duration::zero());
  if (found.known == Catalog::Known::kPresent) {
    it->second.subscription = found.subscription;
    return Pump(it->second);
  }
  if (found.known != Catalog::Known::kDeleted) return;
  auto queue = std::move(it->second.queue);
  it->second.queue.clear();
  for (const auto& delivery : queue) {
    if (delivery->state == State::kQueued) {
      Finish(delivery, InvocationPartition::Outcome::kCancelled);
    }
  }
  it->second.deleted = true;
  if (it->second.in_flight == 0) lanes_.erase(it);
}

void Dispatcher::Tend(InvocationPartition& partition) {
  bool pressed = !partition.tracker().half_empty();
  SteadyTime now = loop_.Steady();
  Duration limit = pressed ? options_.sideline_pressed : options_.sideline_after;
  // Settling changes the set: collect first.
  std::vector<DeliveryPtr> held;
  std::vector<DeliveryPtr> aside;
  for (const auto& delivery : partition.deliveries()) {
    if (delivery->state == State::kHeld) {
      held.push_back(delivery);
      continue;
    }
    if (delivery->record_offset < 0) continue;
    if (delivery->state == State::kInFlight && now - delivery->since >= limit) {
      aside.push_back(delivery);
    } else if (pressed && delivery->state == State::kWaiting) {
      aside.push_back(delivery);
    } else if (pressed && delivery->state == State::kQueued && now - delivery->since >= limit) {
      // Only behind an endpoint that answers nothing: a busy one gets through its queue.
      auto lane = lanes_.find(delivery->id.subscription);
      if (lane != lanes_.end() && lane->second.in_flight > 0 &&
          now - lane->second.last_answer >= limit) {
        aside.push_back(delivery);
      }
    }
  }
  for (const auto& delivery : held) Take(delivery);
  for (const auto& delivery : aside) {
    if (!MaySpill(partition, delivery->id.subscription)) break;
    bool in_flight = delivery->state == State::kInFlight;
    std::chrono::milliseconds wait{0};
    if (in_flight) {
      auto lane = lanes_.find(delivery->id.subscription);
      auto timeout = lane == lanes_.end() ? std::chrono::milliseconds(30'000)
                                          : lane->second.subscription->timeout;
      wait = timeout + options_.sideline_grace;
    } else if (delivery->state == State::kWaiting) {
      loop_.Cancel(delivery->timer);
      wait = options_.memory_wait;
    }
    partition.Spill(*delivery, now_ms() + wait.count(), in_flight);
  }
}

void Dispatcher::SidelineAll(InvocationPartition& partition) {
  std::vector<DeliveryPtr> in_flight;
  for (const auto& delivery : partition.deliveries()) {
    if (delivery->state == State::kInFlight && !delivery->has_row) in_flight.push_back(delivery);
  }
  for (const auto& delivery : in_flight) {
    auto lane = lanes_.find(delivery->id.subscription);
    auto timeout = lane == lanes_.end() ? std::chrono::milliseconds(30'000)
                                        : lane->second.subscription->timeout;
    partition.Spill(*delivery, now_ms() + (timeout + options_.sideline_grace).count(), true);
  }
}

size_t Dispatcher::in_flight(const InvocationPartition& partition) const {
  auto it = in_flight_by_partition_.find(partition.partition());
  return it == in_flight_by_partition_.end() ? 0 : it->second;
}

void Dispatcher::Log(const Delivery& delivery, const schema::Subscription& subscription,
                     const Answer& answer, const std::string& outcome, const std::string& message,
                     int64_t next_ms) {
  dispatch::Attempt attempt;
  attempt.id = delivery.id;
  attempt.org = delivery.org;
  attempt.subscription = subscription.name;
  attempt.number = delivery.attempts;
  attempt.latency_us = answer.elapsed.count();
  attempt.at_ms = now_ms() - attempt.latency_us / 1000;
  attempt.status = answer.status;
  attempt.outcome = outcome;
  attempt.message = message;
  attempt.answer_head = answer.head.substr(0, 256);
  attempt.next_attempt_ms = next_ms;
  attempts_.Record(std::move(attempt));
}

}  // namespace dispatch
