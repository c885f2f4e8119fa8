// The half of Dispatcher that moves aside: what hangs, what waits behind it, what is held.

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/log.h"
#include "function-manager/src/domain/dead_letter.h"
#include "function-manager/src/domain/dispatcher.h"

namespace dispatch {

namespace {

using State = Delivery::State;
using std::chrono::milliseconds;

}  // namespace

bool Dispatcher::MaySpill(InvocationPartition& partition, const Uuid& subscription) {
  const auto& rows = partition.accounts()[subscription].rows;
  return partition.unsaved_rows() < options_.max_unsaved_rows &&
         partition.rows() < options_.max_rows_per_partition &&
         rows.rows() - rows.scheduled() < options_.max_rows_per_subscription;
}

// Half of the shard is for what is late.
bool Dispatcher::MaySchedule(InvocationPartition& partition, const Uuid& subscription) {
  return partition.unsaved_rows() < options_.max_unsaved_rows &&
         partition.rows() < options_.max_rows_per_partition / 2 &&
         partition.accounts()[subscription].rows.scheduled() < options_.max_rows_per_subscription;
}

void Dispatcher::Return(InvocationPartition& partition, const std::vector<ChosenLetter>& letters) {
  auto known = partition.Known();
  for (const auto& letter : letters) {
    // What we have not read yet may be pending still: its end was not saved.
    if (letter.sequence >= partition.tracker().next() || known.contains(letter.id)) continue;
    auto found = catalog_.Find(letter.id.subscription, 0, Duration::zero());
    if (found.known != Catalog::Known::kPresent) continue;
    if (!MaySpill(partition, letter.id.subscription)) continue;
    RetryRow row;
    row.id = RedrivenId(letter.id, letter.redrive, found.subscription->generation);
    row.org = letter.org;
    row.topic = letter.topic;
    row.source_timestamp_ms = letter.source_timestamp_ms;
    row.due_ms = now_ms();
    row.event = letter.event;
    row.sequence = letter.sequence;
    bool ordered = found.subscription->ordering == schema::Ordering::kKey &&
                   !WasDelayed(*row.event, row.source_timestamp_ms);
    if (ordered) row.key = OrderingKey(*row.event);
    partition.Return(letter, std::move(row));
  }
}

// ---- after an unclean start ----

bool Dispatcher::AttemptAlone(const DeliveryPtr& delivery) {
  if (host_.membership_age() > options_.membership_limit) return false;
  auto partition = delivery->partition.lock();
  Lane* lane = scheduler_.Find(delivery->id.subscription);
  if (lane == nullptr || host_.revoking(partition->partition())) {
    delivery->state = State::kWaiting;
    if (lane == nullptr) Take(delivery);  // its subscription is gone
  } else {
    Attempt(*lane, delivery);
  }
  if (delivery->state != State::kInFlight) trials_.Ended(*delivery);
  return true;
}

void Dispatcher::TrialsOver(std::vector<DeliveryPtr> left) {
  for (auto& delivery : left) {
    if (delivery->state == State::kQueued) Take(std::move(delivery));
  }
  Pump();
}

void Dispatcher::Quarantine(const DeliveryPtr& delivery, const schema::Subscription& subscription) {
  delivery->last_error = "function-manager ended " + std::to_string(options_.most_crashes) +
                         " times while this delivery ran alone";
  log::Error("delivery quarantined subscription={} topic={} partition={} offset={}",
             subscription.Key(), delivery->topic, delivery->id.partition, delivery->id.offset);
  Log(*delivery, subscription, Answer{}, "dead-lettered", delivery->last_error, 0);
  Bury(delivery, subscription.name, "quarantined");
}

void Dispatcher::SubscriptionChanged(const Uuid& subscription) {
  Lane* lane = scheduler_.Find(subscription);
  if (lane == nullptr) return;
  auto found = catalog_.Find(subscription, 0, Duration::zero());
  if (found.known == Catalog::Known::kPresent) {
    scheduler_.Update(found.subscription, catalog_.SinkOf(*found.subscription));
    return Pump();
  }
  if (found.known != Catalog::Known::kDeleted) return;
  auto queue = std::move(lane->queue);
  lane->queue.clear();
  for (const auto& delivery : queue) {
    if (delivery->state == State::kQueued) {
      Finish(delivery, InvocationPartition::Outcome::kCancelled);
    }
  }
  lane->deleted = true;
  if (lane->in_flight == 0) scheduler_.Remove(subscription);
}

void Dispatcher::Tend(InvocationPartition& partition) {
  // Every delivery is looked at: not more often than it matters.
  if (!partition.TendNow(loop_.Steady(), options_.tend_interval)) return;
  bool pressed = !partition.tracker().half_empty();
  bool crowded = 2 * partition.rows_in_memory() >= options_.most_rows_in_memory;
  SteadyTime now = loop_.Steady();
  Duration limit = pressed ? options_.sideline_pressed : options_.sideline_after;
  // Settling changes the set: collect first.
  std::vector<DeliveryPtr> held;
  std::vector<DeliveryPtr> aside;
  std::unordered_map<Uuid, std::vector<DeliveryPtr>> queued;
  std::unordered_map<Uuid, size_t> following;
  for (const auto& delivery : partition.deliveries()) {
    switch (delivery->state) {
      case State::kHeld:
        held.push_back(delivery);
        break;
      case State::kInFlight:
        if (delivery->record_offset >= 0 && now - delivery->since >= limit) {
          aside.push_back(delivery);
        }
        break;
      case State::kWaiting:
        if (delivery->record_offset >= 0 && pressed) aside.push_back(delivery);
        break;
      case State::kQueued:
        if (pressed || crowded || now - delivery->since >= limit) {
          queued[delivery->id.subscription].push_back(delivery);
        }
        break;
      case State::kFollowing:
        ++following[delivery->id.subscription];
        break;
      default:
        break;
    }
  }
  // In the order of the log: some may be ordered.
  std::sort(held.begin(), held.end(),
            [](const auto& a, const auto& b) { return a->sequence < b->sequence; });
  // One that is known already does not pass one that needs a newer version of its subscription.
  std::unordered_set<Uuid> unknown;
  for (const auto& delivery : held) {
    if (unknown.contains(delivery->id.subscription)) continue;
    Take(delivery);
    if (delivery->state == State::kHeld) unknown.insert(delivery->id.subscription);
  }
  for (const auto& delivery : aside) {
    if (delivery->state != State::kInFlight && delivery->state != State::kWaiting) continue;
    if (!MaySpill(partition, delivery->id.subscription)) break;
    MoveAside(partition, delivery, scheduler_.Find(delivery->id.subscription));
  }
  for (auto& [subscription, deliveries] : queued) {
    Lane* lane = scheduler_.Find(subscription);
    if (lane == nullptr) continue;
    bool hog =
        pressed && IsHog(partition, subscription, deliveries.size() + following[subscription]);
    ThinOut(partition, *lane, std::move(deliveries), hog, pressed || crowded, crowded);
  }
}

// A busy endpoint gets through its queue; but not at the cost of others that share the window.
bool Dispatcher::IsHog(InvocationPartition& partition, const Uuid& subscription, size_t waiting) {
  if (4 * waiting < partition.tracker().limits().max_incomplete) return false;
  int64_t recently = now_ms() - options_.hog_memory.count();
  for (const auto& [other, account] : partition.accounts()) {
    if (other != subscription && account.taken_ms >= recently &&
        scheduler_.Find(other) != nullptr) {
      return true;
    }
  }
  return false;
}

void Dispatcher::ThinOut(InvocationPartition& partition, Lane& lane,
                         std::vector<DeliveryPtr> queued, bool hog, bool hurry, bool crowded) {
  SteadyTime now = loop_.Steady();
  Duration limit = hurry ? options_.sideline_pressed : options_.sideline_after;
  bool stalled = Scheduler::Stalled(lane, now, limit);
  if (!stalled && !hog) return;
  size_t kept = stalled ? 0 : queued.size() / 2;
  size_t moved = 0;
  for (const auto& delivery : queued) {
    if (delivery->record_offset < 0 && !crowded) continue;
    if (stalled && now - delivery->since < options_.sideline_pressed) continue;
    if (delivery->state != State::kQueued || kept-- > 0) continue;
    if (!MaySpill(partition, delivery->id.subscription) && !delivery->has_row) break;
    PutBack(partition, delivery, lane);
    ++moved;
  }
  if (moved == 0) return;
  // They are not to pile up in a lane that starts nothing.
  std::erase_if(lane.queue, [](const auto& d) { return d->state != State::kQueued; });
}

void Dispatcher::PutBack(InvocationPartition& partition, const DeliveryPtr& delivery, Lane& lane) {
  // From now on it is waiting for an attempt: its age counts from here.
  if (delivery->first_attempt_ms == 0) delivery->first_attempt_ms = now_ms();
  const auto& subscription = *lane.subscription;
  if (now_ms() - delivery->first_attempt_ms > subscription.retry.max_age.count()) {
    if (!lane.circuit.reason().empty()) delivery->last_error = lane.circuit.reason();
    return Bury(delivery, subscription.name, "attempts-exhausted");
  }
  const auto& all = partition.accounts()[subscription.uuid].rows;
  int64_t rows = all.rows() - all.scheduled();
  Duration hold = scheduler_.HoldFor(lane, rows, loop_.Steady());
  SpillInOrder(partition, delivery,
               now_ms() + std::chrono::duration_cast<milliseconds>(hold).count(), false);
}

void Dispatcher::MoveAside(InvocationPartition& partition, const DeliveryPtr& delivery,
                           Lane* lane) {
  bool in_flight = delivery->state == State::kInFlight;
  milliseconds wait = options_.memory_wait;
  if (in_flight) {
    wait = lane == nullptr ? milliseconds(30'000) : lane->subscription->timeout;
    wait += options_.sideline_grace;
  } else {
    loop_.Cancel(delivery->timer);
  }
  int64_t due_ms = now_ms() + wait.count();
  if (delivery->attempts == 0 && delivery->deliver_at_ms > now_ms()) {
    due_ms = delivery->deliver_at_ms;
  }
  SpillInOrder(partition, delivery, due_ms, in_flight);
}

void Dispatcher::SidelineAll(InvocationPartition& partition) {
  std::vector<DeliveryPtr> in_flight;
  for (const auto& delivery : partition.deliveries()) {
    if (delivery->state == State::kInFlight && !delivery->has_row) in_flight.push_back(delivery);
  }
  for (const auto& delivery : in_flight) {
    MoveAside(partition, delivery, scheduler_.Find(delivery->id.subscription));
  }
}

}  // namespace dispatch
