#include <algorithm>

#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/consumer.h"
#include "common/check.h"
#include "common/log.h"

namespace dispatch::broker::kafka {

namespace {

constexpr Duration kReopen{1'000'000};
// A handle that brought nothing for so long is asked where its logs end.
constexpr Duration kQuiet{5'000'000};
constexpr int kAskMs = 3'000;
constexpr size_t kSharedPrefetch = 4 * 1024 * 1024;

/// What one Reader is told of, by each core that reads for it.
struct Port {
  Reader::Listener* listener;
};
using PortPtr = std::shared_ptr<Port>;

struct ReaderSettings {
  std::string client_id;
  size_t max_prefetch_bytes;
};

/// Reads partitions for one Reader, or for several.
class ReaderCore : public Consumer {
 public:
  ReaderCore(ConnectionPtr connection, ReaderSettings settings)
      : Consumer(std::move(connection)), settings_(std::move(settings)) {}

  void Open() {
    Conf conf(connection_, settings_.client_id);
    // assign() wants a group's name, though nothing is ever joined or committed.
    const std::string& name = settings_.client_id;
    conf.Set("group.id", name.empty() ? connection_->options.client_id : name)
        .Set("enable.auto.commit", "false")
        .Set("enable.auto.offset.store", "false")
        .Set("auto.offset.reset", "error")
        .Set("enable.partition.eof", "true")
        .Set("fetch.queue.backoff.ms", 20)
        .Set("topic.metadata.refresh.interval.ms", 10'000)
        .Set("topic.metadata.propagation.max.ms", 5'000)
        .Set("queued.max.messages.kbytes",
             static_cast<int64_t>(std::max<size_t>(settings_.max_prefetch_bytes / 1024, 1)))
        .Events(RD_KAFKA_EVENT_FETCH);
    Status status = OpenHandle(conf);
    DISPATCH_CHECK(status.ok());
  }

  bool closed() const { return closed_; }
  bool Reads(const TopicPartition& tp) { return Find(tp) != nullptr; }
  bool ReadsFor(const TopicPartition& tp, const PortPtr& port) const { return OwnerOf(tp) == port; }

  void Add(const PortPtr& port, const TopicPartition& tp, int64_t offset) {
    auto [it, added] = parts_.try_emplace(tp);
    if (!added) return Move(tp, it->second, offset);
    owners_[tp] = port;
    it->second.next = offset;
    Assign({tp});
  }

  void Remove(const TopicPartition& tp) {
    owners_.erase(tp);
    Unassign({tp});
  }

  /// Closes with the last one.
  void Leave(const PortPtr& port) {
    std::vector<TopicPartition> left;
    for (auto& [tp, owner] : owners_) {
      if (owner == port) left.push_back(tp);
    }
    if (left.size() == owners_.size()) {
      closed_ = true;
      gate_->Close();
      owners_.clear();
      return CloseHandle();
    }
    for (auto& tp : left) owners_.erase(tp);
    Unassign(left);
  }

 private:
  void Deliver(std::vector<Record> records) override {
    Heard();
    auto read = WithoutEnd(records);
    auto batches = ByOwner(std::move(records));
    for (auto& [port, batch] : batches) {
      // The listener before may have ended this one, or taken partitions from it.
      if (&batch != &batches.front().second) {
        std::erase_if(batch, [&, &port = port](const Record& record) {
          return OwnerOf({record.topic, record.partition}) != port;
        });
      }
      if (port->listener != nullptr && !batch.empty()) port->listener->OnRecords(std::move(batch));
    }
    for (const TopicPartition& tp : read) {
      Part* part = Find(tp);
      if (part != nullptr && IsAtEnd(tp, *part)) OnEof(tp, *part, part->next);
    }
  }

  PortPtr OwnerOf(const TopicPartition& tp) const {
    auto it = owners_.find(tp);
    return it == owners_.end() ? nullptr : it->second;
  }

  std::vector<std::pair<PortPtr, std::vector<Record>>> ByOwner(std::vector<Record> records) {
    std::vector<std::pair<PortPtr, std::vector<Record>>> batches;
    TopicPartition at;
    std::vector<Record>* batch = nullptr;
    for (Record& record : records) {
      if (batch == nullptr || record.partition != at.partition || record.topic != at.topic) {
        at = {record.topic, record.partition};
        batch = nullptr;
        PortPtr owner = OwnerOf(at);
        if (owner == nullptr) continue;
        auto of_owner = [&](const auto& one) { return one.first == owner; };
        auto it = std::find_if(batches.begin(), batches.end(), of_owner);
        if (it == batches.end()) it = batches.insert(it, {std::move(owner), {}});
        batch = &it->second;
      }
      batch->push_back(std::move(record));
    }
    return batches;
  }

  // librdkafka tells the end only with the next fetch, which waits half a second for more. The
  // answer that brought the records says where it is. Needed once: who waits for it, waits for the
  // first.
  bool IsAtEnd(const TopicPartition& tp, const Part& part) const {
    if (!rk_ || part.told_end >= 0 || part.paused || part.moving) return false;
    int64_t low = 0;
    int64_t end = 0;
    return rd_kafka_get_watermark_offsets(rk_.get(), tp.topic.c_str(), tp.partition, &low, &end) ==
               RD_KAFKA_RESP_ERR_NO_ERROR &&
           end >= 0 && part.next >= end;
  }
  // Whose records these are, as long as their end was not told.
  std::vector<TopicPartition> WithoutEnd(const std::vector<Record>& records) {
    std::vector<TopicPartition> found;
    const Record* before = nullptr;
    for (const Record& record : records) {
      bool same = before != nullptr && before->partition == record.partition &&
                  before->topic == record.topic;
      before = &record;
      if (same) continue;
      TopicPartition tp{record.topic, record.partition};
      const Part* part = Find(tp);
      if (part != nullptr && part->told_end < 0) found.push_back(std::move(tp));
    }
    return found;
  }
  void DeliverError(const TopicPartition& tp, const Error& error) override {
    PortPtr port = OwnerOf(tp);
    if (port != nullptr) port->listener->OnPartitionError(tp, error);
  }
  void OnOther(EventPtr) override {}
  void OnEof(const TopicPartition& tp, Part& part, int64_t offset) override {
    Heard();
    if (offset < part.next || part.told_end == offset) return;
    part.next = offset;
    part.told_end = offset;
    PortPtr port = OwnerOf(tp);
    if (port != nullptr) port->listener->OnEnd(tp, offset);
  }
  void Heard() {
    heard_ = connection_->loop.Steady();
    behind_ = false;
  }

  // After brokers were away, librdkafka may fetch no more and say nothing: the log's end tells, of
  // one partition at a time. Twice in a row, as records may be on their way.
  void OnTurn() override {
    if (asking_ || connection_->loop.Steady() - heard_ < kQuiet) return;
    auto next = parts_.upper_bound(asked_);
    if (next == parts_.end()) next = parts_.begin();
    if (next == parts_.end()) return;
    asked_ = next->first;
    const Part& part = next->second;
    if (!part.assigned || part.paused || part.moving || part.failed || part.next < 0) return;
    asking_ = true;
    connection_->worker.Run(
        [rk = rk_, tp = asked_, loop = &connection_->loop, gate = gate_, weak = weak_from_this()] {
          int64_t low = 0;
          int64_t end = -1;
          if (rd_kafka_query_watermark_offsets(rk.get(), tp.topic.c_str(), tp.partition, &low, &end,
                                               kAskMs) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            end = -1;
          }
          std::lock_guard lock(gate->mutex);
          if (gate->closed) return;
          loop->Post([weak, tp, end] {
            if (auto self = std::static_pointer_cast<ReaderCore>(weak.lock()))
              self->OnLogEnd(tp, end);
          });
        });
  }

  void OnLogEnd(const TopicPartition& tp, int64_t end) {
    asking_ = false;
    Part* part = Find(tp);
    bool quiet = connection_->loop.Steady() - heard_ >= kQuiet;
    if (!rk_ || !quiet || part == nullptr || part->paused || part->moving || part->failed ||
        end <= part->next) {
      return;
    }
    if (!std::exchange(behind_, true)) return;
    log::Warning("reader stands still and is opened anew client={} topic={} at={} end={}",
                 rd_kafka_name(rk_.get()), tp.topic, part->next, end);
    OpenAnew();
  }

  // A reader is in no group, so this is a librdkafka of another mind: start over where we stood.
  void OnFatal() override {
    log::Error("reader failed and is opened anew client={}", rd_kafka_name(rk_.get()));
    OpenAnew();
  }

  void OpenAnew() {
    Heard();
    DropHandle();
    connection_->loop.After(kReopen, [weak = weak_from_this()] {
      auto self = std::static_pointer_cast<ReaderCore>(weak.lock());
      if (!self || self->closed_ || self->rk_) return;
      self->Open();
      std::vector<TopicPartition> all;
      for (auto& [tp, part] : self->parts_) all.push_back(tp);
      self->Assign(all);
    });
  }

  ReaderSettings settings_;
  std::map<TopicPartition, PortPtr> owners_;
  bool closed_ = false;
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  SteadyTime heard_ = connection_->loop.Steady();  // when it last brought something
  bool behind_ = false;                            // the last log's end was further on
  bool asking_ = false;
  TopicPartition asked_;
};
using CorePtr = std::shared_ptr<ReaderCore>;

CorePtr OpenCore(const ConnectionPtr& connection, ReaderSettings settings) {
  auto core = std::make_shared<ReaderCore>(connection, std::move(settings));
  core->Open();
  return core;
}

class KafkaReader : public Reader {
 public:
  KafkaReader(CorePtr core, Reader::Listener& listener)
      : port_(std::make_shared<Port>(&listener)), core_(std::move(core)) {}
  ~KafkaReader() override {
    port_->listener = nullptr;
    core_->Leave(port_);
  }
  void Add(const TopicPartition& tp, int64_t offset) override { core_->Add(port_, tp, offset); }
  void Remove(const TopicPartition& tp) override {
    if (core_->Reads(tp)) core_->Remove(tp);
  }
  void Pause(const TopicPartition& tp) override { core_->Pause(tp); }
  void Resume(const TopicPartition& tp) override { core_->Resume(tp); }

 private:
  PortPtr port_;
  CorePtr core_;
};

/// Each partition by the first of the shared cores that reads it for nobody else.
class SharedReader : public Reader {
 public:
  SharedReader(ConnectionPtr connection, Reader::Listener& listener)
      : connection_(std::move(connection)), port_(std::make_shared<Port>(&listener)) {}
  ~SharedReader() override {
    port_->listener = nullptr;
    for (const CorePtr& core : cores_) {
      if (!core->closed()) core->Leave(port_);
    }
  }
  void Add(const TopicPartition& tp, int64_t offset) override {
    CorePtr core = Find(tp);
    if (core == nullptr) core = Choose(tp);
    core->Add(port_, tp, offset);
  }
  void Remove(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Remove(tp);
  }
  void Pause(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Pause(tp);
  }
  void Resume(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Resume(tp);
  }

 private:
  CorePtr Find(const TopicPartition& tp) const {
    for (const CorePtr& core : cores_) {
      if (core->ReadsFor(tp, port_)) return core;
    }
    return nullptr;
  }
  CorePtr Choose(const TopicPartition& tp) {
    CorePtr chosen;
    auto& shared = connection_->shared_readers;
    std::erase_if(shared, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : shared) {
      auto core = std::static_pointer_cast<ReaderCore>(weak.lock());
      if (chosen == nullptr && !core->closed() && !core->Reads(tp)) chosen = std::move(core);
    }
    if (chosen == nullptr) {
      chosen = OpenCore(connection_, {"", kSharedPrefetch});
      shared.push_back(chosen);
    }
    if (std::find(cores_.begin(), cores_.end(), chosen) == cores_.end()) cores_.push_back(chosen);
    return chosen;
  }

  ConnectionPtr connection_;
  PortPtr port_;
  std::vector<CorePtr> cores_;
};

}  // namespace

std::unique_ptr<Reader> NewReader(ConnectionPtr connection, std::string client_id,
                                  Reader::Listener& listener, size_t max_prefetch_bytes) {
  return std::make_unique<KafkaReader>(
      OpenCore(connection, {std::move(client_id), max_prefetch_bytes}), listener);
}

std::unique_ptr<Reader> NewSharedReader(ConnectionPtr connection, Reader::Listener& listener) {
  return std::make_unique<SharedReader>(std::move(connection), listener);
}

}  // namespace dispatch::broker::kafka
