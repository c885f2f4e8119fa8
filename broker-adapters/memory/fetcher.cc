#include "broker-adapters/memory/fetcher.h"

#include <fmt/format.h>

#include <algorithm>

namespace dispatch::broker::memory {

namespace {
constexpr size_t kMaxRecordsAPoll = 500;
}

struct Fetcher::Batch {
  struct Event {
    TopicPartition tp;
    uint64_t serial;
    int64_t next_offset;
    Error error;
  };
  std::vector<Record> records;
  std::vector<Event> errors;
  std::vector<Event> ends;
  bool more = false;
};

Fetcher::Fetcher(ClusterPtr cluster, std::string client, Sink& sink, size_t max_bytes,
                 std::string group)
    : cluster_(std::move(cluster)),
      client_(std::move(client)),
      sink_(&sink),
      max_bytes_(max_bytes),
      group_(std::move(group)),
      id_(cluster_->Register(this)) {}

Fetcher::~Fetcher() {
  Close();
  cluster_->Unregister(id_);
}

void Fetcher::Close() {
  sink_ = nullptr;
  for (auto& [tp, slot] : slots_) Unwatch(tp, slot);
  slots_.clear();
}

void Fetcher::Add(const TopicPartition& tp, int64_t offset) {
  Slot& slot = slots_[tp];
  bool paused = slot.paused;
  Unwatch(tp, slot);
  slot = Slot{.serial = next_serial_++, .position = offset, .paused = paused};
  Wake();
}

void Fetcher::Remove(const TopicPartition& tp) {
  auto it = slots_.find(tp);
  if (it == slots_.end()) return;
  Unwatch(tp, it->second);
  slots_.erase(it);
}

void Fetcher::Pause(const TopicPartition& tp) {
  auto it = slots_.find(tp);
  if (it != slots_.end()) it->second.paused = true;
}

void Fetcher::Resume(const TopicPartition& tp) {
  auto it = slots_.find(tp);
  if (it == slots_.end() || !it->second.paused) return;
  it->second.paused = false;
  Wake();
}

void Fetcher::Wake() {
  if (scheduled_ || sink_ == nullptr || slots_.empty() || !cluster_->Reachable(client_)) return;
  scheduled_ = true;
  cluster_->Later([weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Poll();
  });
}

void Fetcher::Watch(const TopicPartition& tp, Slot& slot) {
  Partition* partition = cluster_->FindPartition(tp);
  if (partition == slot.watched) return;
  slot.watched = partition;
  if (partition != nullptr) partition->watchers.push_back(this);
}

void Fetcher::Unwatch(const TopicPartition& tp, Slot& slot) {
  Partition* partition = cluster_->FindPartition(tp);
  if (partition != nullptr && partition == slot.watched) std::erase(partition->watchers, this);
  slot.watched = nullptr;
}

void Fetcher::Forget(const Partition* partition) {
  for (auto& [tp, slot] : slots_) {
    if (slot.watched == partition) slot.watched = nullptr;
  }
  Wake();
}

int64_t Fetcher::Resolve(const TopicPartition& tp, const PartitionLog& log, int64_t offset) const {
  if (offset == kLatest) return log.end();
  if (offset == kCommitted && !group_.empty()) {
    int64_t committed = cluster_->GetGroup(group_).Committed(tp);
    return committed < 0 ? log.begin() : committed;
  }
  return log.begin();
}

void Fetcher::CollectFrom(const TopicPartition& tp, Slot& slot, Batch& batch) {
  Watch(tp, slot);
  if (slot.watched == nullptr) {
    if (slot.missing) return;
    slot.missing = true;
    Error error{Code::kNotFound, "topic " + tp.topic + " has no partition " +
                                     std::to_string(tp.partition) + ": create or grow it"};
    batch.errors.push_back({tp, slot.serial, 0, std::move(error)});
    return;
  }
  slot.missing = false;
  const PartitionLog& log = slot.watched->log;
  if (slot.position < 0) slot.position = Resolve(tp, log, slot.position);
  if (slot.position < log.begin() || slot.position > log.end()) {
    slot.failed = true;
    Error error{Code::kOutOfRange,
                fmt::format("offset {} of {}/{} is not in the log, which has {} to {}: retention "
                            "passed it; seek to where reading may go on",
                            slot.position, tp.topic, tp.partition, log.begin(), log.end())};
    batch.errors.push_back({tp, slot.serial, 0, std::move(error)});
    return;
  }
  size_t room = kMaxRecordsAPoll - std::min(kMaxRecordsAPoll, batch.records.size());
  if (room == 0) {
    batch.more |= slot.position < log.end();
    return;
  }
  int64_t from = slot.position;
  size_t before = batch.records.size();
  slot.position = log.Read(from, room, max_bytes_, batch.records);
  for (size_t i = before; i < batch.records.size(); ++i) {
    batch.records[i].topic = tp.topic;
    batch.records[i].partition = tp.partition;
  }
  if (slot.position > from) slot.told_end = false;
  if (slot.position < log.end()) {
    batch.more = true;
  } else if (!slot.told_end) {
    slot.told_end = true;
    batch.ends.push_back({tp, slot.serial, slot.position, {}});
  }
}

// Another partition is first each time, so that none starves.
void Fetcher::Collect(Batch& batch) {
  auto it = slots_.begin();
  std::advance(it, static_cast<ptrdiff_t>(turn_++ % slots_.size()));
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!it->second.paused && !it->second.failed) CollectFrom(it->first, it->second, batch);
    if (++it == slots_.end()) it = slots_.begin();
  }
}

Fetcher::Slot* Fetcher::Find(const TopicPartition& tp, uint64_t serial) {
  if (sink_ == nullptr) return nullptr;
  auto it = slots_.find(tp);
  return it == slots_.end() || it->second.serial != serial ? nullptr : &it->second;
}

void Fetcher::Poll() {
  scheduled_ = false;
  if (sink_ == nullptr || slots_.empty() || !cluster_->Reachable(client_)) return;
  Batch batch;
  Collect(batch);
  if (batch.more) Wake();
  if (!batch.records.empty()) sink_->OnFetched(std::move(batch.records));
  // Each call may close the fetcher, or remove, move or pause the partition of the next.
  for (auto& e : batch.errors) {
    if (Find(e.tp, e.serial) != nullptr) sink_->OnFetchError(e.tp, e.error);
  }
  for (auto& e : batch.ends) {
    Slot* slot = Find(e.tp, e.serial);
    if (slot == nullptr) continue;
    if (slot->paused) {
      slot->told_end = false;
    } else {
      sink_->OnFetchedAll(e.tp, e.next_offset);
    }
  }
}

}  // namespace dispatch::broker::memory
