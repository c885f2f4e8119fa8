#include "event-manager/src/adapters/progress_table.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "broker-adapters/topics.h"
#include "common/log.h"

namespace dispatch {

namespace {

// How much a circuit holds back.
int Holds(const schema::Circuit& circuit) {
  switch (circuit.state) {
    case schema::CircuitState::kClosed:
      return 0;
    case schema::CircuitState::kHalfOpen:
      return 1;
    case schema::CircuitState::kOpen:
      return 2;
  }
  return 0;
}

// Keys are of one partition each. Those with the most behind them come first.
void TakeBlocked(const schema::Blocked& of_partition, schema::Blocked& sum) {
  if (of_partition.keys == 0) return;
  sum.keys += of_partition.keys;
  sum.waiting += of_partition.waiting;
  auto& first = sum.first;
  first.insert(first.end(), of_partition.first.begin(), of_partition.first.end());
  std::sort(first.begin(), first.end(), [](const auto& a, const auto& b) {
    return std::tie(b.waiting, a.since_ms, a.key) < std::tie(a.waiting, b.since_ms, b.key);
  });
  if (first.size() > schema::Blocked::kFirst) first.resize(schema::Blocked::kFirst);
}

}  // namespace

ProgressTable::ProgressTable(broker::Broker& broker, Loop& loop) : broker_(broker), loop_(loop) {}

ProgressTable::~ProgressTable() = default;

void ProgressTable::Start() { Open(); }

void ProgressTable::Open() {
  broker_.admin().DescribeTopic(broker::kProgressTopic, [this, alive = std::weak_ptr(alive_)](
                                                            Result<broker::TopicInfo> info) {
    if (alive.expired()) return;
    if (!info.ok()) {
      loop_.After(std::chrono::seconds(1), [this, alive] {
        if (!alive.expired()) Open();
      });
      return;
    }
    partitions_ = info->partitions;
    broker::Reader::Listener& listener = *this;
    reader_ = broker_.NewSharedReader(listener);
    for (int32_t p = 0; p < partitions_; ++p) {
      reader_->Add({broker::kProgressTopic, p}, broker::kEarliest);
    }
  });
}

void ProgressTable::OnRecords(std::vector<broker::Record> records) {
  std::unordered_set<Uuid> changed;
  for (const auto& record : records) {
    if (!record.value) continue;
    auto progress = schema::Decode<schema::Progress>(*record.value);
    if (!progress.ok()) continue;
    changed.insert(progress->subscription);
    auto& slot = table_[progress->subscription][progress->partition];
    // An owner that lost its partition may speak once more after the new one.
    if (progress->epoch >= slot.epoch) slot = std::move(*progress);
  }
  for (const auto& subscription : changed) changed_(subscription, Of(subscription));
}

void ProgressTable::OnPartitionError(const broker::TopicPartition& partition, const Error& error) {
  log::Warning("cannot read topic={} partition={} error=\"{}\"", partition.topic,
               partition.partition, error.message);
  if (error.code != Code::kOutOfRange) return;
  reader_->Remove(partition);
  reader_->Add(partition, broker::kEarliest);
}

void ProgressTable::OnEnd(const broker::TopicPartition& partition, int64_t) {
  if (!std::exchange(ended_[partition.partition], true)) ++at_end_;
}

ProgressTable::Sum ProgressTable::Of(const Uuid& subscription) const {
  Sum sum;
  auto it = table_.find(subscription);
  if (it == table_.end()) return sum;
  int64_t newest_failure = 0;
  for (const auto& [partition, progress] : it->second) {
    sum.counters.received += progress.counters.received;
    sum.counters.delivered += progress.counters.delivered;
    sum.counters.dead_lettered += progress.counters.dead_lettered;
    sum.counters.cancelled += progress.counters.cancelled;
    sum.queued += progress.queued;
    sum.in_flight += progress.in_flight;
    sum.retrying += progress.retrying;
    sum.scheduled += progress.scheduled;
    int64_t oldest = progress.oldest_pending_ms;
    if (oldest != 0 && (sum.oldest_pending_ms == 0 || oldest < sum.oldest_pending_ms)) {
      sum.oldest_pending_ms = oldest;
    }
    if (!progress.last_failure.empty() && progress.written_ms > newest_failure) {
      newest_failure = progress.written_ms;
      sum.last_failure = progress.last_failure;
      sum.last_failure_ms = progress.written_ms;
    }
    if (int64_t since = progress.failing_since_ms; since != 0) {
      sum.failing_since_ms =
          sum.failing_since_ms == 0 ? since : std::min(sum.failing_since_ms, since);
    }
    sum.last_success_ms = std::max(sum.last_success_ms, progress.last_success_ms);
    sum.heard_ms = std::max(sum.heard_ms, progress.written_ms);
    TakeBlocked(progress.blocked, sum.blocked);
    if (progress.circuit && (!sum.circuit || Holds(*progress.circuit) > Holds(*sum.circuit))) {
      sum.circuit = progress.circuit;
    }
  }
  return sum;
}

schema::Circuit ProgressTable::CircuitOf(const Uuid& subscription) const {
  schema::Circuit circuit;
  auto it = table_.find(subscription);
  if (it == table_.end()) return circuit;
  int64_t newest = 0;
  for (const auto& [partition, progress] : it->second) {
    if (!progress.circuit || progress.written_ms < newest) continue;
    newest = progress.written_ms;
    circuit = *progress.circuit;
  }
  return circuit;
}

}  // namespace dispatch
