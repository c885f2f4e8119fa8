#include "broker-adapters/outbox_tail.h"

#include <algorithm>

namespace dispatch::broker {

namespace {

OutboxTail::Key Split(const std::string& record_key) {
  size_t slash = record_key.find('/');
  if (slash == std::string::npos) return {record_key, ""};
  return {record_key.substr(0, slash), record_key.substr(slash + 1)};
}

}  // namespace

void OutboxTail::Take(const schema::StateRecord& record) {
  bool stale_epoch = record.epoch < epoch_;
  epoch_ = std::max(epoch_, record.epoch);
  if (record.kind == "heartbeat") return;
  std::string key = record.Key();
  Last& last = last_[key];
  if (stale_epoch || record.version < last.version) {
    overwritten_.insert(Split(key));
  } else {
    overwritten_.erase(Split(key));
    last.deleted = record.deleted;
    last.written_ms = record.written_ms;
  }
  last.version = std::max(last.version, record.version);
}

void OutboxTail::TakeNull(const std::string& record_key) {
  last_.erase(record_key);
  overwritten_.erase(Split(record_key));
}

void OutboxTail::TakeForged(const std::string& record_key) {
  if (last_.contains(record_key)) overwritten_.insert(Split(record_key));
}

std::vector<OutboxTail::Key> OutboxTail::DeletedBefore(int64_t before_ms) const {
  std::vector<Key> keys;
  for (auto& [key, last] : last_) {
    if (last.deleted && last.written_ms < before_ms) keys.push_back(Split(key));
  }
  return keys;
}

}  // namespace dispatch::broker
