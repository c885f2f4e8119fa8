#include "function-manager/src/domain/key_order.h"

#include <algorithm>
#include <tuple>

#include "schema/cloudevents_text.h"

namespace dispatch {

namespace {

constexpr size_t kMostKeyText = 128;  // bytes
constexpr size_t kMostErrorText = 256;

size_t BytesOf(const Delivery& delivery) {
  const auto& event = delivery.event;
  return event != nullptr && event->value ? event->value->size() : 0;
}

// The beginning of what any client may have written, as text.
std::string TextOf(std::string_view bytes, size_t most) {
  std::string text(bytes.substr(0, most));
  if (bytes.size() > most) {
    // Not within a character.
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) {
      text.pop_back();
    }
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0x80) text.pop_back();
    text += "…";
  }
  if (cloudevents::IsUtf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return text;
}

KeyOrder::Head HeadOf(const Delivery& delivery, int64_t due_ms) {
  return {due_ms,
          delivery.first_attempt_ms,
          delivery.attempts,
          delivery.last_status,
          delivery.last_error,
          delivery.id.partition,
          delivery.id.offset};
}

bool FirstBlocks(const Delivery& delivery, SteadyTime now) {
  if (delivery.attempts > 0 || !delivery.last_error.empty()) return true;
  return delivery.state == Delivery::State::kInFlight && now - delivery.since > KeyOrder::kNoAnswer;
}

// Those with the most behind them, and of the same the one that is in the way for longer.
void TakeFirst(std::vector<schema::BlockingKey>& first, schema::BlockingKey key) {
  auto worse = [](const schema::BlockingKey& a, const schema::BlockingKey& b) {
    return std::tuple(-a.waiting, a.since_ms) < std::tuple(-b.waiting, b.since_ms);
  };
  first.insert(std::upper_bound(first.begin(), first.end(), key, worse), std::move(key));
  if (first.size() > schema::Blocked::kFirst) first.pop_back();
}

}  // namespace

void KeyOrder::Restore(const Key& key, int64_t rows, int64_t first_sequence, Head first) {
  Queue& queue = queues_[key];
  SetRows(queue, rows);
  queue.rows_from = first_sequence;
  if (first.due_ms == kNeverDue) {
    wanting_.insert(key);
  } else {
    queue.due = std::make_unique<const Head>(std::move(first));
  }
}

KeyOrder::Place KeyOrder::Enter(const DeliveryPtr& delivery) {
  Queue& queue = queues_[KeyOf(*delivery)];
  if (delivery->has_row) {
    if (queue.rows > 0) SetRows(queue, queue.rows - 1);
    if (queue.returned.erase(delivery->sequence) == 0) {
      bool was_first = queue.due != nullptr || delivery->sequence <= queue.rows_from;
      if (was_first) queue.rows_from = std::max(queue.rows_from, delivery->sequence + 1);
      queue.due.reset();
    }
  } else {
    bool behind_rows = queue.rows > 0 && delivery->sequence > RowsFrom(queue);
    bool full = queue.memory.size() >= limits_.deliveries || queue.bytes >= limits_.bytes;
    if (behind_rows || full) return Place::kSpill;
  }
  Insert(queue, delivery);
  bool first = queue.going < 0 && queue.memory.begin()->second == delivery &&
               (queue.rows == 0 || delivery->sequence < RowsFrom(queue));
  if (!first) return Place::kWait;
  queue.going = delivery->sequence;
  return Place::kGo;
}

void KeyOrder::Loaded(const DeliveryPtr& delivery) {
  Queue& queue = queues_[KeyOf(*delivery)];
  if (queue.rows > 0) SetRows(queue, queue.rows - 1);
  if (queue.returned.erase(delivery->sequence) == 0) {
    queue.rows_from = std::max(queue.rows_from, delivery->sequence + 1);
  }
  Insert(queue, delivery);
}

void KeyOrder::Keep(const DeliveryPtr& delivery) { Insert(queues_[KeyOf(*delivery)], delivery); }

void KeyOrder::Spilled(const Delivery& delivery, int64_t due_ms) {
  Key key = KeyOf(delivery);
  Queue& queue = queues_[key];
  Erase(queue, delivery);
  bool only = queue.rows == static_cast<int64_t>(queue.returned.size());
  queue.rows_from = only ? delivery.sequence : std::min(queue.rows_from, delivery.sequence);
  SetRows(queue, queue.rows + 1);
  if (due_ms == kNeverDue) return;
  queue.due = std::make_unique<const Head>(HeadOf(delivery, due_ms));
  queue.returned.clear();  // they are behind it, and found when it is gone
  wanting_.erase(key);
}

void KeyOrder::Returned(const Key& key, int64_t sequence) {
  Queue& queue = queues_[key];
  bool others = queue.rows > static_cast<int64_t>(queue.returned.size());
  SetRows(queue, queue.rows + 1);
  if (others && queue.rows_from <= sequence) return;  // in turn after all
  queue.returned.insert(sequence);
  queue.due.reset();
  wanting_.insert(key);
}

void KeyOrder::NotReturned(const Key& key, int64_t sequence) {
  auto it = queues_.find(key);
  if (it == queues_.end()) return;
  it->second.returned.erase(sequence);
  if (it->second.rows > 0) SetRows(it->second, it->second.rows - 1);
}

bool KeyOrder::RowsBefore(const Delivery& delivery) const {
  auto it = queues_.find(KeyOf(delivery));
  return it != queues_.end() && !it->second.returned.empty() &&
         *it->second.returned.begin() < delivery.sequence;
}

// The lowest place that a row can have. What came out of turn is known by its place.
int64_t KeyOrder::RowsFrom(const Queue& queue) {
  if (queue.returned.empty()) return queue.rows_from;
  int64_t first = *queue.returned.begin();
  bool only = queue.rows <= static_cast<int64_t>(queue.returned.size());
  return only ? first : std::min(first, queue.rows_from);
}

void KeyOrder::Left(const Delivery& delivery) {
  auto it = queues_.find(KeyOf(delivery));
  if (it != queues_.end()) Erase(it->second, delivery);
}

DeliveryPtr KeyOrder::Next(const Key& key) {
  auto it = queues_.find(key);
  if (it == queues_.end()) return nullptr;
  Queue& queue = it->second;
  if (queue.going >= 0) return nullptr;
  if (queue.memory.empty() && queue.rows == 0) {
    wanting_.erase(key);
    queues_.erase(it);
    return nullptr;
  }
  bool known =
      !queue.memory.empty() && (queue.rows == 0 || queue.memory.begin()->first < RowsFrom(queue));
  if (!known) {
    if (queue.due == nullptr || !queue.returned.empty()) wanting_.insert(key);
    return nullptr;
  }
  queue.going = queue.memory.begin()->first;
  return queue.memory.begin()->second;
}

std::vector<DeliveryPtr> KeyOrder::Followers(const Key& key) const {
  std::vector<DeliveryPtr> followers;
  auto it = queues_.find(key);
  if (it == queues_.end()) return followers;
  for (const auto& [sequence, delivery] : it->second.memory) {
    if (sequence != it->second.going) followers.push_back(delivery);
  }
  return followers;
}

std::vector<std::pair<KeyOrder::Key, int64_t>> KeyOrder::Wanting(size_t limit) const {
  std::vector<std::pair<Key, int64_t>> keys;
  for (const auto& key : wanting_) {
    if (keys.size() >= limit) break;
    auto it = queues_.find(key);
    if (it == queues_.end() || it->second.going >= 0 || held(key.subscription)) continue;
    keys.emplace_back(key, RowsFrom(it->second));
  }
  return keys;
}

std::unordered_map<Uuid, schema::Blocked> KeyOrder::Blocking(SteadyTime now) const {
  std::unordered_map<Uuid, schema::Blocked> all;
  for (const auto& [key, queue] : queues_) {
    int64_t behind = static_cast<int64_t>(queue.memory.size()) + queue.rows - 1;
    if (behind <= 0) continue;
    auto first = FirstOf(queue, now);
    if (!first) continue;
    first->key = TextOf(key.key, kMostKeyText);
    first->waiting = behind;
    schema::Blocked& blocked = all[key.subscription];
    ++blocked.keys;
    blocked.waiting += behind;
    TakeFirst(blocked.first, std::move(*first));
  }
  return all;
}

// What is in the way: whose turn it is, or else the row that is to come; nothing when that is well.
std::optional<schema::BlockingKey> KeyOrder::FirstOf(const Queue& queue, SteadyTime now) {
  Head head;
  if (queue.going >= 0) {
    const Delivery& going = *queue.memory.at(queue.going);
    if (!FirstBlocks(going, now)) return std::nullopt;
    head = HeadOf(going, going.state == Delivery::State::kWaiting ? going.due_ms : 0);
  } else {
    bool failed =
        queue.due != nullptr && (queue.due->attempts > 0 || !queue.due->last_error.empty());
    if (queue.rows == 0 || !failed) return std::nullopt;
    head = *queue.due;
  }
  schema::BlockingKey first;
  first.since_ms = head.since_ms;
  first.attempts = head.attempts;
  first.last_status = head.last_status;
  first.last_error = TextOf(head.last_error, kMostErrorText);
  first.next_ms = head.due_ms;
  first.source_partition = head.source_partition;
  first.source_offset = head.source_offset;
  return first;
}

void KeyOrder::NoRows(const Key& key) {
  auto it = queues_.find(key);
  if (it == queues_.end()) return;
  SetRows(it->second, 0);
  it->second.returned.clear();
  wanting_.erase(key);
}

void KeyOrder::Release(const Uuid& subscription) {
  auto it = held_.find(subscription);
  if (it != held_.end() && --it->second <= 0) held_.erase(it);
}

void KeyOrder::Insert(Queue& queue, const DeliveryPtr& delivery) {
  if (queue.memory.emplace(delivery->sequence, delivery).second) queue.bytes += BytesOf(*delivery);
}

void KeyOrder::Erase(Queue& queue, const Delivery& delivery) {
  auto it = queue.memory.find(delivery.sequence);
  if (it == queue.memory.end() || it->second.get() != &delivery) return;
  queue.bytes -= BytesOf(delivery);
  queue.memory.erase(it);
  if (queue.going == delivery.sequence) queue.going = -1;
}

void KeyOrder::SetRows(Queue& queue, int64_t rows) {
  if ((queue.rows > 0) != (rows > 0)) rows > 0 ? ++blocked_ : --blocked_;
  queue.rows = rows;
}

}  // namespace dispatch
