#include "function-manager/src/domain/invocation_partition.h"

#include <algorithm>
#include <utility>

namespace dispatch {

namespace {

bool BitAt(const std::string& bits, size_t i) {
  return i / 8 < bits.size() && (static_cast<unsigned char>(bits[i / 8]) >> (i % 8) & 1) != 0;
}

std::string ToBits(const std::vector<bool>& settled) {
  std::string bits((settled.size() + 7) / 8, '\0');
  for (size_t i = 0; i < settled.size(); ++i) {
    if (settled[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << (i % 8));
  }
  return bits;
}

size_t BytesOf(const broker::Record& record) { return record.value ? record.value->size() : 0; }
size_t BytesOf(const Delivery& delivery) {
  return delivery.event && delivery.event->value ? delivery.event->value->size() : 0;
}

}  // namespace

InvocationPartition::InvocationPartition(InvokeClaim claim, OffsetTracker::Limits limits,
                                         int64_t claimed_ms)
    : partition_(claim.partition),
      epoch_(claim.epoch),
      tracker_(
          OffsetTracker::Restore(claim.position.value_or(0), claim.checkpoint.completed, limits)),
      taken_in_(claim.checkpoint.taken_in),
      reread_until_(claim.position ? claim.checkpoint.taken_in : 0),
      suspect_before_ms_(claim.unclean_starts > 0 ? claimed_ms : 0) {
  for (const auto& trial : claim.trials) crashes_[trial.id] = trial.crashes;
  intake_.Restore(std::move(claim.checkpoint.marks));
  for (auto& partial : claim.checkpoint.partials) {
    restored_partials_[partial.offset] = std::move(partial.settled);
  }
  for (const auto& counted : claim.checkpoint.counters) {
    Account& account = accounts_[counted.subscription];
    account.counters = counted.counters;
    account.changed = true;  // what the owner before us told may be older
  }
  for (const auto& waiting : claim.waiting) {
    Account& account = accounts_[waiting.subscription];
    account.rows.Add(waiting.first_ms, waiting.delayed ? waiting.first_ms : 0, waiting.rows);
    account.changed = true;
    rows_ += waiting.rows;
  }
  for (auto& key : claim.blocked) {
    order_.Restore({key.subscription, std::move(key.key)}, key.rows, key.first_sequence,
                   std::move(key.first));
  }
}

std::vector<DeliveryPtr> InvocationPartition::TakeIn(const broker::Record& record,
                                                     schema::Invocation invocation,
                                                     int64_t now_ms) {
  size_t count = invocation.targets.size();
  if (!tracker_.Deliver(record.offset, std::max<size_t>(1, count), BytesOf(record))) return {};
  dirty_ = true;
  bool again = record.offset < taken_in_;
  taken_in_ = std::max(taken_in_, record.offset + 1);
  std::vector<bool> news =
      again ? std::vector<bool>(count, true) : intake_.Accept(invocation, now_ms);
  std::string settled_before;
  if (auto it = restored_partials_.find(record.offset); it != restored_partials_.end()) {
    settled_before = std::move(it->second);
    restored_partials_.erase(it);
  }

  RecordState state;
  state.settled.resize(count);
  auto event = std::make_shared<const schema::EventData>(std::move(invocation.event));
  std::vector<DeliveryPtr> taken;
  for (size_t i = 0; i < count; ++i) {
    if (!news[i] || BitAt(settled_before, i)) {
      state.settled[i] = true;
      continue;
    }
    const schema::Target& target = invocation.targets[i];
    auto delivery = std::make_shared<Delivery>();
    delivery->id = {invocation.topic_uuid, invocation.source_partition, invocation.source_offset,
                    target.subscription,   target.generation,           invocation.replay};
    delivery->target = target;
    delivery->org = invocation.org;
    delivery->topic = invocation.topic;
    delivery->source_timestamp_ms = invocation.source_timestamp_ms;
    delivery->deliver_at_ms = invocation.deliver_at_ms;
    delivery->event = event;
    delivery->record_offset = delivery->sequence = record.offset;
    delivery->record_index = static_cast<uint32_t>(i);
    delivery->partition = weak_from_this();
    delivery->suspect =
        (suspect_before_ms_ > 0 && (again || record.timestamp_ms < suspect_before_ms_)) ||
        CrashesOf(delivery->id) > 0;
    Insert(delivery);
    Account& account = accounts_[target.subscription];
    if (!again) ++account.counters.received;
    account.changed = true;
    account.taken_ms = now_ms;
    taken.push_back(std::move(delivery));
  }
  state.left = taken.size();
  if (state.left == 0) {
    tracker_.Complete(record.offset);
  } else {
    if (state.left < count) {
      partials_.insert(record.offset);
      tracker_.Release(record.offset, count - state.left, 0);
    }
    records_.emplace(record.offset, std::move(state));
  }
  return taken;
}

void InvocationPartition::Skip(const broker::Record& record) {
  if (!tracker_.Deliver(record.offset, 1, 0)) return;
  taken_in_ = std::max(taken_in_, record.offset + 1);
  tracker_.Complete(record.offset);
  dirty_ = true;
}

DeliveryPtr InvocationPartition::TakeRow(RetryRow row) {
  if (with_row_.contains(row.id) || changes_.contains(row.id) || saving_.contains(row.id) ||
      touched_.contains(row.id)) {
    return nullptr;
  }
  auto delivery = std::make_shared<Delivery>();
  delivery->id = row.id;
  delivery->target = {row.id.subscription, row.id.generation, 0};
  delivery->org = std::move(row.org);
  delivery->topic = std::move(row.topic);
  delivery->source_timestamp_ms = row.source_timestamp_ms;
  delivery->deliver_at_ms = row.deliver_at_ms;
  delivery->event = std::move(row.event);
  delivery->attempts = row.attempts;
  delivery->first_attempt_ms = row.first_attempt_ms;
  delivery->last_status = row.last_status;
  delivery->last_error = std::move(row.last_error);
  delivery->sequence = row.sequence;
  delivery->key = std::move(row.key);
  delivery->has_row = true;
  delivery->partition = weak_from_this();
  // What has no time of its own came when its key's turn was its.
  bool may_have_been = row.due_ms < suspect_before_ms_ || row.due_ms == kNeverDue;
  delivery->suspect = (suspect_before_ms_ > 0 && may_have_been) || CrashesOf(row.id) > 0;
  Insert(delivery);
  KeepWithRow(delivery);
  return delivery;
}

void InvocationPartition::Settle(Delivery& delivery, Outcome outcome) {
  if (delivery.state == Delivery::State::kDone) return;
  delivery.state = Delivery::State::kDone;
  dirty_ = true;
  Account& account = accounts_[delivery.id.subscription];
  account.changed = true;
  switch (outcome) {
    case Outcome::kDelivered:
      ++account.counters.delivered;
      break;
    case Outcome::kDeadLettered:
      ++account.counters.dead_lettered;
      break;
    case Outcome::kCancelled:
      ++account.counters.cancelled;
      break;
  }
  CompletePart(delivery);
  if (!crashes_.empty() && crashes_.erase(delivery.id) > 0) tried_.push_back(delivery.id);
  if (delivery.has_row) {
    delivery.has_row = false;
    --rows_;
    account.rows.Remove(delivery.source_timestamp_ms, delivery.deliver_at_ms);
    ChangeRow(delivery.id, std::nullopt);
    ForgetWithRow(delivery.id);
  }
  Erase(delivery);
}

void InvocationPartition::Attempted(const Uuid& subscription, std::string failure, int64_t now_ms) {
  Account& account = accounts_[subscription];
  account.changed = true;
  if (failure.empty()) {
    account.failing_since_ms = 0;
    account.last_success_ms = now_ms;
  } else if (account.failing_since_ms == 0) {
    account.failing_since_ms = now_ms;
  }
  account.last_failure = std::move(failure);
}

void InvocationPartition::Spill(Delivery& delivery, int64_t due_ms, bool keep) {
  Account& account = accounts_[delivery.id.subscription];
  account.changed = true;
  dirty_ = true;
  if (!delivery.has_row && with_row_.contains(delivery.id)) {
    // Written twice under two streams, and the other copy waits already: it stands for both.
    --account.counters.received;
    delivery.state = Delivery::State::kDone;
    CompletePart(delivery);
    Erase(delivery);
    return;
  }
  // A row of a copy that is settled may be there still: it is not another delivery's.
  bool fresh =
      !delivery.has_row && !changes_.contains(delivery.id) && !saving_.contains(delivery.id);
  if (!delivery.has_row) {
    delivery.has_row = true;
    ++rows_;
    account.rows.Add(delivery.source_timestamp_ms, delivery.deliver_at_ms);
    if (delivery.listed) KeepWithRow(*delivery.place);
  }
  if (!keep) delivery.state = Delivery::State::kSpilled;
  ChangeRow(delivery.id,
            RetryRow{delivery.id, delivery.org, delivery.topic, delivery.source_timestamp_ms,
                     delivery.attempts, delivery.first_attempt_ms, due_ms, delivery.last_status,
                     delivery.last_error, delivery.event, delivery.sequence, delivery.key,
                     fresh || StillFresh(delivery.id), delivery.deliver_at_ms});
  CompletePart(delivery);
}

int32_t InvocationPartition::CrashesOf(const schema::DeliveryId& id) const {
  auto it = crashes_.find(id);
  return it == crashes_.end() ? 0 : it->second;
}

void InvocationPartition::Return(const ChosenLetter& letter, RetryRow row) {
  Account& account = accounts_[row.id.subscription];
  --account.counters.dead_lettered;
  account.rows.Add(row.source_timestamp_ms, row.deliver_at_ms);
  ++rows_;
  account.changed = true;
  dirty_ = true;
  if (row.key) {
    row.due_ms = kNeverDue;
    order_.Returned({row.id.subscription, *row.key}, row.sequence);
  }
  returns_[row.id] = {letter.id, letter.redrive, row.id, row.key, row.sequence};
  ChangeRow(row.id, std::move(row));
}

void InvocationPartition::ReturnFailed(const schema::DeliveryId& row) {
  auto it = returns_.find(row);
  if (it == returns_.end()) return;
  Account& account = accounts_[row.subscription];
  ++account.counters.dead_lettered;
  RemoveRow(account, row);
  account.changed = true;
  dirty_ = true;
  if (it->second.key) order_.NotReturned({row.subscription, *it->second.key}, it->second.sequence);
  changes_.erase(row);
  saving_.erase(row);
  returns_.erase(it);
}

std::set<schema::DeliveryId> InvocationPartition::Known() const {
  std::set<schema::DeliveryId> known;
  for (const auto& delivery : deliveries_) known.insert(delivery->id);
  for (const auto* changes : {&changes_, &saving_}) {
    for (const auto& [id, change] : *changes) known.insert(id);
  }
  return known;
}

void InvocationPartition::Drop(Delivery& delivery) {
  delivery.state = Delivery::State::kSpilled;
  ForgetWithRow(delivery.id);
  Erase(delivery);
}

bool InvocationPartition::active(const schema::DeliveryId& id) const {
  auto it = with_row_.find(id);
  return it != with_row_.end() && it->second->state != Delivery::State::kSpilled;
}

bool InvocationPartition::unsettled(const Uuid& subscription, const std::string& key) const {
  auto of_key = [&](const auto& item) {
    return item.second && item.second->key == key && item.first.subscription == subscription;
  };
  return std::any_of(changes_.begin(), changes_.end(), of_key) ||
         std::any_of(saving_.begin(), saving_.end(), of_key) ||
         std::any_of(touched_.begin(), touched_.end(), [&](const auto& item) {
           return item.second == key && item.first.subscription == subscription;
         });
}

void InvocationPartition::KeepWithRow(const DeliveryPtr& delivery) {
  if (with_row_.emplace(delivery->id, delivery).second) row_bytes_ += BytesOf(*delivery);
}

void InvocationPartition::ForgetWithRow(const schema::DeliveryId& id) {
  auto it = with_row_.find(id);
  if (it == with_row_.end()) return;
  row_bytes_ -= BytesOf(*it->second);
  with_row_.erase(it);
}

void InvocationPartition::Insert(const DeliveryPtr& delivery) {
  delivery->place = deliveries_.insert(deliveries_.end(), delivery);
  delivery->listed = true;
}

void InvocationPartition::Erase(Delivery& delivery) {
  if (std::exchange(delivery.listed, false)) deliveries_.erase(delivery.place);
}

void InvocationPartition::CompletePart(Delivery& delivery) {
  if (delivery.record_offset < 0) return;
  int64_t offset = delivery.record_offset;
  delivery.record_offset = -1;
  auto it = records_.find(offset);
  if (it == records_.end()) return;
  it->second.settled[delivery.record_index] = true;
  if (--it->second.left == 0) {
    records_.erase(it);
    partials_.erase(offset);
    tracker_.Complete(offset);
  } else {
    partials_.insert(offset);
    tracker_.Release(offset, 1, 0);
  }
}

void InvocationPartition::ChangeRow(const schema::DeliveryId& id, Change change) {
  touched_[id] = change ? change->key : std::nullopt;
  changes_[id] = std::move(change);
}

InvokeSave InvocationPartition::Snapshot() {
  InvokeSave save;
  save.partition = partition_;
  save.epoch = epoch_;
  save.position = tracker_.Position();
  save.checkpoint.taken_in = taken_in_;
  save.checkpoint.completed = tracker_.Completed();
  for (int64_t offset : partials_) {
    save.checkpoint.partials.push_back({offset, ToBits(records_.at(offset).settled)});
  }
  for (const auto& [offset, bits] : restored_partials_) {
    save.checkpoint.partials.push_back({offset, bits});
  }
  save.checkpoint.marks = intake_.Snapshot();
  for (const auto& [subscription, account] : accounts_) {
    save.checkpoint.counters.push_back({subscription, account.counters});
  }
  // After a failed save its changes are still in saving_; newer ones win.
  changes_.merge(saving_);
  saving_ = std::move(changes_);
  changes_.clear();
  for (const auto& [id, change] : saving_) {
    if (change) {
      save.upserts.push_back(*change);
    } else {
      save.deletes.push_back(id);
    }
  }
  save.tried = tried_;
  tried_saving_ = tried_.size();
  for (const auto& [row, returned] : returns_) save.returns.push_back(returned);
  dirty_ = false;
  return save;
}

std::optional<int64_t> InvocationPartition::Saved() {
  std::optional<int64_t> earliest;
  for (const auto& [id, change] : saving_) {
    touched_[id] = change ? change->key : std::nullopt;
    if (!change) continue;
    if (returns_.erase(id) > 0) {
      if (!earliest || change->due_ms < *earliest) earliest = change->due_ms;
      continue;
    }
    auto it = with_row_.find(id);
    if (it == with_row_.end() || it->second->state != Delivery::State::kSpilled) continue;
    if (changes_.contains(id)) continue;
    if (!earliest || change->due_ms < *earliest) earliest = change->due_ms;
    Erase(*it->second);
    ForgetWithRow(id);
  }
  saving_.clear();
  tried_.erase(tried_.begin(), tried_.begin() + static_cast<ptrdiff_t>(tried_saving_));
  tried_saving_ = 0;
  return earliest;
}

void InvocationPartition::SaveFailed() {
  dirty_ = true;
  // It may have been saved after all, and our own rows are not another copy's.
  for (auto& [id, change] : saving_) {
    if (change) change->fresh = false;
  }
}

void InvocationPartition::Merged(const schema::DeliveryId& id) {
  Account& account = accounts_[id.subscription];
  --account.counters.received;
  RemoveRow(account, id);
  account.changed = true;
  dirty_ = true;
}

// A row that is being written does not count after all.
void InvocationPartition::RemoveRow(Account& account, const schema::DeliveryId& id) {
  --rows_;
  for (const auto* changes : {&saving_, &changes_}) {
    auto it = changes->find(id);
    if (it == changes->end() || !it->second) continue;
    return account.rows.Remove(it->second->source_timestamp_ms, it->second->deliver_at_ms);
  }
}

void InvocationPartition::Advance(int64_t now_ms) {
  for (auto& [subscription, account] : accounts_) {
    if (account.rows.Advance(now_ms)) account.changed = true;
  }
}

// It became a row, and that is not being saved yet.
bool InvocationPartition::StillFresh(const schema::DeliveryId& id) const {
  auto it = changes_.find(id);
  return it != changes_.end() && it->second && it->second->fresh;
}

std::unordered_map<Uuid, InvocationPartition::Pending> InvocationPartition::CountPending() const {
  std::unordered_map<Uuid, Pending> all;
  for (const auto& [subscription, account] : accounts_) {
    if (account.rows.rows() == 0) continue;
    Pending& pending = all[subscription];
    pending.scheduled = account.rows.scheduled();
    pending.retrying = account.rows.rows() - pending.scheduled;
    pending.oldest_ms = account.rows.oldest_ms();
  }
  // Those of a subscription mostly stand together.
  const Uuid* last = nullptr;
  Pending* found = nullptr;
  auto account = accounts_.end();
  for (const auto& delivery : deliveries_) {
    if (last == nullptr || *last != delivery->id.subscription) {
      last = &delivery->id.subscription;
      found = &all[*last];
      account = accounts_.find(*last);
    }
    Pending& pending = *found;
    bool scheduled = account != accounts_.end() && delivery->deliver_at_ms != 0 &&
                     account->second.rows.IsScheduled(delivery->deliver_at_ms);
    int64_t& waiting = scheduled ? pending.scheduled : pending.retrying;
    bool active = delivery->state == Delivery::State::kQueued ||
                  delivery->state == Delivery::State::kInFlight ||
                  delivery->state == Delivery::State::kHeld ||
                  delivery->state == Delivery::State::kFollowing ||
                  delivery->state == Delivery::State::kBurying;
    if (delivery->has_row && active) --waiting;
    if (delivery->state == Delivery::State::kInFlight ||
        delivery->state == Delivery::State::kBurying) {
      ++pending.in_flight;
    } else if (active) {
      ++pending.queued;
    } else if (!delivery->has_row) {
      ++waiting;
    }
    if (scheduled) continue;
    int64_t since_ms = std::max(delivery->source_timestamp_ms, delivery->deliver_at_ms);
    if (pending.oldest_ms == 0 || since_ms < pending.oldest_ms) pending.oldest_ms = since_ms;
  }
  return all;
}

}  // namespace dispatch
