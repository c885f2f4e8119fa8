#include "function-manager/src/domain/dispatcher.h"

#include <algorithm>
#include <vector>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/domain/dead_letter.h"
#include "function-manager/src/domain/retry_schedule.h"

namespace dispatch {

namespace {

using State = Delivery::State;

// At 0 from the start, so that the first one is an increase.
const metrics::Counter kCopiesRefused = metrics::GetCounter(
    "dispatch_dead_letter_copies_refused_total",
    "Dead letters that a subscription's own dead-letter topic did not take; the built-in one has "
    "them");

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

size_t SizeOf(const schema::EventData& event) {
  size_t size = event.value ? event.value->size() : 0;
  for (const auto& [name, value] : event.headers) size += name.size() + value.size();
  return size;
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
      random_(random),
      options_(options),
      scheduler_(std::move(random), options.scheduler),
      trials_(loop,
              {.note =
                   [this](const DeliveryPtr& begin, std::vector<TrialRun::Noted> survived,
                          std::function<void(Status)> done) {
                     host_.NoteTrial(begin, std::move(survived), std::move(done));
                   },
               .attempt = [this](const DeliveryPtr& d) { return AttemptAlone(d); },
               .resume = [this] { Pump(); },
               .over = [this](std::vector<DeliveryPtr> left) { TrialsOver(std::move(left)); }},
              options.trial) {}

Dispatcher::~Dispatcher() {
  loop_.Cancel(resume_);
  loop_.Cancel(wake_);
}

void Dispatcher::Take(DeliveryPtr delivery) {
  auto partition = delivery->partition.lock();
  if (partition == nullptr || delivery->state == State::kDone) return;
  bool held = delivery->state == State::kHeld && delivery->since != SteadyTime{};
  Duration waited = held ? loop_.Steady() - delivery->since : Duration::zero();
  auto found = catalog_.Find(delivery->id.subscription, delivery->target.version, waited);
  // Never dropped: it waits until the cache knows its subscription, or knows that it is gone. Later
  // ones do not pass it.
  KeyOrder& order = partition->order();
  bool behind = !held && delivery->record_offset >= 0 && order.held(delivery->id.subscription);
  if (found.known == Catalog::Known::kNotYet || behind) {
    if (held) return;
    order.Hold(delivery->id.subscription);
    delivery->since = loop_.Steady();
    delivery->state = State::kHeld;
    return;
  }
  if (held) order.Release(delivery->id.subscription);
  bool cancelled = found.known == Catalog::Known::kDeleted ||
                   found.subscription->generation > delivery->id.generation;
  if (cancelled) return Finish(delivery, InvocationPartition::Outcome::kCancelled);
  if (partition->CrashesOf(delivery->id) >= options_.most_crashes) {
    return Quarantine(delivery, *found.subscription);
  }
  if (Postpone(delivery, *partition)) return;
  if (!EnterOrder(delivery, *partition, *found.subscription)) return;
  delivery->state = State::kQueued;
  delivery->since = loop_.Steady();
  Lane* lane = scheduler_.Find(found.subscription->uuid);
  if (lane == nullptr || lane->subscription != found.subscription) {
    lane = &scheduler_.Update(found.subscription, catalog_.SinkOf(*found.subscription));
  }
  if (std::exchange(delivery->suspect, false)) {  // what the trials leave over goes as all do
    bool crashed = partition->CrashesOf(delivery->id) > 0;
    if (crashed && !trials_.open()) trials_.Open(options_.late_trial);
    if (trials_.open()) return trials_.Add(delivery, crashed);
  }
  scheduler_.Push(*lane, std::move(delivery));
  Pump();
}

// Before its time it waits, and no attempt is spent.
bool Dispatcher::Postpone(const DeliveryPtr& delivery, InvocationPartition& partition) {
  std::chrono::milliseconds wait(delivery->deliver_at_ms - now_ms());
  if (delivery->attempts > 0 || wait.count() <= 0) return false;
  bool roomy = partition.tracker().half_empty() || delivery->record_offset < 0;
  bool stays = delivery->has_row || (roomy && wait <= options_.memory_wait);
  if (!stays && MaySchedule(partition, delivery->id.subscription)) {
    partition.Spill(*delivery, delivery->deliver_at_ms, false);
  } else {
    WaitInMemory(delivery, wait);
  }
  return true;
}

// False: it is not its turn yet.
bool Dispatcher::EnterOrder(const DeliveryPtr& delivery, InvocationPartition& partition,
                            const schema::Subscription& subscription) {
  if (delivery->key || delivery->has_row || subscription.ordering != schema::Ordering::kKey) {
    return true;
  }
  // What comes later than it was published has no place in the order of the log.
  if (delivery->deliver_at_ms != 0) return true;
  delivery->key = OrderingKey(*delivery->event);
  if (!delivery->key) return true;
  KeyOrder& order = partition.order();
  auto place = order.Enter(delivery);
  if (place == KeyOrder::Place::kGo) return true;
  delivery->state = State::kFollowing;
  delivery->since = loop_.Steady();
  if (place == KeyOrder::Place::kWait) return false;
  if (MaySpill(partition, subscription.uuid)) {
    SpillFollower(partition, delivery);
  } else {
    order.Keep(delivery);
  }
  return false;
}

void Dispatcher::TakeRow(DeliveryPtr delivery, std::chrono::milliseconds delay) {
  if (delivery->key) {
    auto partition = delivery->partition.lock();
    if (partition->order().Enter(delivery) != KeyOrder::Place::kGo) {
      delivery->state = State::kFollowing;
      return Advance(*partition, KeyOrder::KeyOf(*delivery));
    }
  }
  TakeAfter(std::move(delivery), delay);
}

void Dispatcher::Advance(InvocationPartition& partition, const KeyOrder::Key& key) {
  auto next = partition.order().Next(key);
  if (next == nullptr) return;
  turns_.push_back(std::move(next));
  if (turning_) return;  // the loop below goes on with it, however many are cancelled in a row
  turning_ = true;
  while (!turns_.empty()) {
    DeliveryPtr delivery = std::move(turns_.front());
    turns_.pop_front();
    Take(std::move(delivery));
  }
  turning_ = false;
}

void Dispatcher::SpillInOrder(InvocationPartition& partition, const DeliveryPtr& delivery,
                              int64_t due_ms, bool keep) {
  if (!delivery->key) return partition.Spill(*delivery, due_ms, keep);
  KeyOrder& order = partition.order();
  auto key = KeyOrder::KeyOf(*delivery);
  bool behind = !keep && order.RowsBefore(*delivery);
  partition.Spill(*delivery, behind ? kNeverDue : due_ms, keep);
  if (delivery->state == State::kDone) {  // another copy stands for it
    order.Left(*delivery);
    return Advance(partition, key);
  }
  if (!keep) order.Spilled(*delivery, behind ? kNeverDue : due_ms);
  // Its followers would pin the partition for as long as it waits.
  for (const auto& follower : order.Followers(key)) {
    if (!follower->has_row && !MaySpill(partition, key.subscription)) break;
    SpillFollower(partition, follower);
  }
  if (behind) Advance(partition, key);
}

void Dispatcher::SpillFollower(InvocationPartition& partition, const DeliveryPtr& delivery) {
  if (delivery->has_row) {
    partition.Drop(*delivery);
  } else {
    partition.Spill(*delivery, kNeverDue, false);
  }
  if (delivery->state == State::kDone) {
    partition.order().Left(*delivery);
  } else {
    partition.order().Spilled(*delivery, kNeverDue);
  }
}

void Dispatcher::TakeAfter(DeliveryPtr delivery, std::chrono::milliseconds delay) {
  if (delay.count() <= 0) return Take(std::move(delivery));
  WaitInMemory(delivery, delay);
}

void Dispatcher::Pump() {
  if (pumping_ || resume_ != kNoTimer) return;  // the loop below, or the timer, goes on with it
  if (trials_.blocking()) return;
  pumping_ = true;
  while (Lane* lane = scheduler_.Next(loop_.Steady())) {
    if (host_.membership_age() > options_.membership_limit) {
      // We may have been replaced: hold everything until the group confirms us.
      resume_ = loop_.After(options_.hold_retry, [this] {
        resume_ = kNoTimer;
        Pump();
      });
      break;
    }
    DeliveryPtr delivery = std::move(lane->queue.front());
    lane->queue.pop_front();
    auto partition = delivery->partition.lock();
    if (partition == nullptr || host_.revoking(partition->partition())) continue;
    Attempt(*lane, std::move(delivery));
  }
  pumping_ = false;
  ArmWake();
}

void Dispatcher::ArmWake() {
  auto at = scheduler_.wake_at();
  if (!at || (wake_at_ && *wake_at_ <= *at)) return;
  loop_.Cancel(wake_);
  wake_at_ = at;
  wake_ = loop_.After(std::max(Duration::zero(), *at - loop_.Steady()), [this] {
    wake_ = kNoTimer;
    wake_at_.reset();
    scheduler_.Wake(loop_.Steady());
    Pump();
  });
}

void Dispatcher::Attempt(Lane& lane, DeliveryPtr delivery) {
  const schema::Subscription& subscription = *lane.subscription;
  auto sink = catalog_.SinkOf(subscription);
  if (!sink) {
    Answer answer;
    answer.failure = "no-endpoint";
    answer.retry_after = options_.no_sink_delay;
    Retry(delivery, subscription, answer,
          subscription.awaits_permission
              ? "the endpoint has not allowed deliveries yet"
              : "function " + subscription.function + " does not exist or is not ready",
          false);
    return;
  }
  scheduler_.Update(lane.subscription, sink);
  auto ticket = scheduler_.Started(lane, loop_.Steady());
  MeasureLag();
  if (ticket.probe != 0) host_.CircuitChanged(subscription.uuid);
  Sent sent;
  SetOff(delivery, sent);
  SendRequest request;
  request.webhook_id = delivery->id.WebhookId();
  request.attempt = delivery->attempts + 1;
  request.timeout = subscription.timeout;
  request.event = delivery->event;
  request.org = subscription.org;
  request.sink = std::move(*sink);
  // A probe asks with one; what failed before and what is on trial goes by itself.
  bool batch =
      request.sink.mode == schema::DeliveryMode::kBatch && trials_.current() != delivery.get();
  if (batch && ticket.probe == 0 && delivery->attempts == 0) FillBatch(lane, sent, request);
  AttemptSpans spans(options_.tracer);
  for (const auto& [going, index] : sent) spans.Add(*going, subscription, request);
  sender_.Send(std::move(request), [this, alive = std::weak_ptr(alive_), sent = std::move(sent),
                                    uuid = subscription.uuid, ticket = std::move(ticket),
                                    spans = std::move(spans)](const Answer& answer) {
    if (alive.expired()) return;
    for (const auto& [delivery, index] : sent) {
      if (--in_flight_by_partition_[index] == 0) in_flight_by_partition_.erase(index);
    }
    Answered(sent, uuid, ticket, spans, answer);
    Pump();
  });
}

// What is posted now runs behind all that is ready now: so late is an answer that comes now.
void Dispatcher::MeasureLag() {
  if (std::exchange(measuring_lag_, true)) return;
  loop_.Post([this, alive = std::weak_ptr(alive_), begun = loop_.Steady()] {
    if (alive.expired()) return;
    measuring_lag_ = false;
    SteadyTime now = loop_.Steady();
    scheduler_.SetLag(now, now - begun);
  });
}

void Dispatcher::SetOff(const DeliveryPtr& delivery, Sent& sent) {
  delivery->state = State::kInFlight;
  delivery->since = loop_.Steady();
  if (delivery->first_attempt_ms == 0) delivery->first_attempt_ms = now_ms();
  int32_t partition = delivery->partition.lock()->partition();
  ++in_flight_by_partition_[partition];
  sent.emplace_back(delivery, partition);
}

// Takes what is next in the lane along, in its order, all in the place of the first.
void Dispatcher::FillBatch(Lane& lane, Sent& sent, SendRequest& request) {
  size_t bytes = SizeOf(*request.event);
  while (sent.size() < options_.scheduler.batch_events && !lane.queue.empty()) {
    DeliveryPtr next = lane.queue.front();
    if (next->state != State::kQueued) {
      lane.queue.pop_front();
      continue;
    }
    auto partition = next->partition.lock();
    bool goes = partition != nullptr && !host_.revoking(partition->partition());
    bytes += SizeOf(*next->event);
    if (!goes || next->attempts > 0 || bytes > options_.batch_bytes) return;
    lane.queue.pop_front();
    SetOff(next, sent);
    request.more.push_back({next->id.WebhookId(), next->event});
  }
}

void Dispatcher::Answered(const Sent& sent, const Uuid& uuid, const Scheduler::Ticket& ticket,
                          const AttemptSpans& spans, const Answer& answer) {
  Effect effect = EffectOf(answer);
  std::string described =
      effect == Effect::kDelivered ? "" : Describe(answer, ticket.endpoint->url);
  spans.End(answer, effect, described);
  Lane* lane = scheduler_.Find(uuid);
  if (lane == nullptr) return;
  // The newest settings count for what comes next; the lane may outlive the subscription.
  auto subscription = lane->subscription;
  AttemptCounter(effect).Add(static_cast<double>(sent.size()));
  bool changed = scheduler_.Ended(*lane, ticket, answer, described, loop_.Steady(), loop_.Now());
  if (changed) {
    log::Info("circuit subscription={} reason=\"{}\"", subscription->Key(),
              lane->circuit.reason().empty() ? "closed" : lane->circuit.reason());
    host_.CircuitChanged(uuid);
  }
  // One bad event must not condemn the others: each finds out by itself.
  bool refused = effect == Effect::kReject || effect == Effect::kGone;
  if (refused && sent.size() > 1) effect = Effect::kRetry;
  for (const auto& [delivery, index] : sent) {
    auto partition = delivery->partition.lock();
    if (partition != nullptr && delivery->state == State::kInFlight) {
      Settle(delivery, *partition, *subscription, answer, effect, described);
    }
  }
  for (const auto& [delivery, index] : sent) trials_.Ended(*delivery);
  // What is above may have changed the lanes.
  lane = scheduler_.Find(uuid);
  if (lane != nullptr && lane->deleted && lane->in_flight == 0) scheduler_.Remove(uuid);
}

void Dispatcher::Settle(const DeliveryPtr& delivery, InvocationPartition& partition,
                        const schema::Subscription& subscription, const Answer& answer,
                        Effect effect, const std::string& described) {
  ++delivery->attempts;
  delivery->last_status = answer.status;
  delivery->last_error = described;
  partition.Attempted(subscription.uuid, described, now_ms());
  switch (effect) {
    case Effect::kDelivered:
      Log(*delivery, subscription, answer, kDelivered, "", 0);
      Finish(delivery, InvocationPartition::Outcome::kDelivered);
      break;
    case Effect::kRetry:
      Retry(delivery, subscription, answer, described, true);
      break;
    case Effect::kReject:
      Log(*delivery, subscription, answer, "dead-lettered", described, 0);
      Bury(delivery, subscription.name, "rejected");
      break;
    case Effect::kGone:
      Log(*delivery, subscription, answer, "dead-lettered", described, 0);
      host_.DisableSubscription(subscription, described);
      Bury(delivery, subscription.name, "gone");
      break;
  }
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
  bool park = delivery->key && subscription.on_failure == schema::OnFailure::kPark;
  if (counted && park && !short_wait) return Bury(delivery, subscription.name, "parked");
  if (short_wait && (roomy || park) && !delivery->has_row) return WaitInMemory(delivery, *delay);
  if (delivery->has_row || MaySpill(*partition, subscription.uuid)) {
    SpillInOrder(*partition, delivery, now_ms() + delay->count(), false);
  } else {
    WaitInMemory(delivery, *delay);
  }
}

void Dispatcher::WaitInMemory(const DeliveryPtr& delivery, std::chrono::milliseconds delay) {
  delivery->state = State::kWaiting;
  delivery->since = loop_.Steady();
  delivery->due_ms = now_ms() + delay.count();
  delivery->timer =
      loop_.After(delay, [this, alive = std::weak_ptr(alive_), waiting = std::weak_ptr(delivery)] {
        if (alive.expired()) return;
        auto delivery = waiting.lock();
        if (delivery != nullptr && delivery->state == State::kWaiting) Take(delivery);
      });
}

// First the subscription's own dead-letter topic, if it has one, then the built-in one: terminal is
// what is in both.
void Dispatcher::Bury(const DeliveryPtr& delivery, const std::string& subscription_name,
                      const std::string& reason) {
  auto partition = delivery->partition.lock();
  if (partition == nullptr) return;
  delivery->state = State::kBurying;
  delivery->since = loop_.Steady();
  auto letter = LetterOf(*delivery, partition->partition(), subscription_name, reason, now_ms());
  auto known = catalog_.Find(delivery->id.subscription, 0, Duration::zero()).subscription;
  if (known != nullptr) letter.replay_of = known->replay_of;
  auto again = [this, alive = std::weak_ptr(alive_), delivery, subscription_name,
                reason](Duration delay) {
    loop_.After(delay, [this, alive, delivery, subscription_name, reason] {
      if (alive.expired() || delivery->partition.expired()) return;
      if (delivery->state == State::kBurying) Bury(delivery, subscription_name, reason);
    });
  };
  broker::ProduceRecord record;
  auto copy = delivery->copied ? std::nullopt : CopyForOwnTopic(letter);
  bool own = copy.has_value();
  if (own) {
    record = std::move(*copy);
  } else {
    record.topic = broker::kDeadLettersTopic;
    record.key = delivery->id.subscription.ToBytes();
    record.value = schema::Encode(letter);
  }
  std::string topic = record.topic;
  auto written = [this, alive = std::weak_ptr(alive_), delivery, again, own,
                  topic](const Status& status) {
    if (alive.expired() || delivery->state != State::kBurying) return;
    bool never = status.code() == Code::kNotFound || status.code() == Code::kTooLarge;
    if (!status.ok() && !(own && never)) return again(std::chrono::seconds(1));  // not terminal
    if (!own) return Finish(delivery, InvocationPartition::Outcome::kDeadLettered);
    if (!status.ok()) CopyRefused(topic, status);
    delivery->copied = true;
    again(Duration::zero());
  };
  auto status = dead_letters_.Produce(
      std::move(record), [written](Result<broker::Position> at) { written(at.status()); });
  if (!status.ok()) {
    loop_.After(Duration::zero(), [written, status] { written(status); });
  }
}

std::optional<broker::ProduceRecord> Dispatcher::CopyForOwnTopic(
    const schema::DeadLetter& letter) const {
  auto found = catalog_.Find(letter.id.subscription, 0, Duration::zero());
  if (found.subscription == nullptr || found.subscription->dead_letter_topic.empty()) {
    return std::nullopt;
  }
  return CopyOf(letter, found.subscription->dead_letter_topic);
}

void Dispatcher::CopyRefused(const std::string& topic, const Status& status) {
  kCopiesRefused.Add();
  if (!log::Sometimes("dead-letter.copy")) return;
  log::Warning("dead-letter topic took no copy topic={} error=\"{}\"", topic, status.message());
}

void Dispatcher::Finish(const DeliveryPtr& delivery, InvocationPartition::Outcome outcome) {
  loop_.Cancel(delivery->timer);
  auto partition = delivery->partition.lock();
  if (partition != nullptr) partition->Settle(*delivery, outcome);
  delivery->state = State::kDone;
  if (partition == nullptr || !delivery->key) return;
  partition->order().Left(*delivery);
  Advance(*partition, KeyOrder::KeyOf(*delivery));
}

schema::Circuit Dispatcher::CircuitOf(const Uuid& subscription) {
  schema::Circuit circuit;
  const Lane* lane = scheduler_.Find(subscription);
  if (lane == nullptr) return circuit;
  circuit.state = static_cast<schema::CircuitState>(lane->circuit.state(loop_.Steady()));
  circuit.since_ms = ToMillis(lane->circuit.since());
  circuit.reason = lane->circuit.reason();
  return circuit;
}

size_t Dispatcher::in_flight(const InvocationPartition& partition) const {
  auto it = in_flight_by_partition_.find(partition.partition());
  return it == in_flight_by_partition_.end() ? 0 : it->second;
}

void Dispatcher::Log(const Delivery& delivery, const schema::Subscription& subscription,
                     const Answer& answer, const std::string& outcome, const std::string& message,
                     int64_t next_ms) {
  using schema::History;
  bool success = outcome == kDelivered;
  if (success && subscription.history == History::kFailures) return;
  dispatch::Attempt attempt;
  attempt.id = delivery.id;
  if (!subscription.replay_of.is_nil()) {
    if (attempt.id.replay.is_nil()) attempt.id.replay = subscription.uuid;
    attempt.id.subscription = subscription.replay_of;
  }
  attempt.keep = subscription.history == History::kAll;
  attempt.org = delivery.org;
  attempt.subscription = subscription.name;
  attempt.number = delivery.attempts;
  attempt.latency_us = answer.elapsed.count();
  attempt.at_ms = now_ms() - attempt.latency_us / 1000;
  attempt.status = answer.status;
  attempt.outcome = outcome;
  attempt.message = message;
  attempt.answer_head = answer.head;
  attempt.next_attempt_ms = next_ms;
  attempts_.Record(std::move(attempt));
}

}  // namespace dispatch
