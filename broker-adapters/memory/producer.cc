#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>

#include "broker-adapters/memory/cluster.h"
#include "broker-adapters/partitioner.h"

namespace dispatch::broker::memory {

namespace {

struct Pending {
  Record record;
  Producer::Delivered delivered;
  SteadyTime deadline;
  size_t bytes = 0;
  std::optional<Result<Position>> outcome;  // what the report will say
};

// One partition's queue: a batch is sent, its reports come, then the next goes.
struct Lane {
  TopicPartition tp;
  std::deque<Pending> queue;
  size_t sent = 0;  // of the front, with an outcome
  bool busy = false;
  TimerId expiry = kNoTimer;
};

class ProducerCore : public Component, public std::enable_shared_from_this<ProducerCore> {
 public:
  ProducerCore(ClusterPtr cluster, std::string client, ProducerOptions options)
      : cluster_(std::move(cluster)),
        client_(std::move(client)),
        options_(std::move(options)),
        id_(cluster_->Register(this)) {}
  ~ProducerCore() override { cluster_->Unregister(id_); }

  void Close() {
    open_ = false;
    for (auto& [tp, lane] : lanes_) {
      cluster_->loop.Cancel(lane.expiry);
      lane.queue.clear();  // what the callbacks hold goes now
    }
  }

  size_t in_flight() const { return records_; }

  Status Produce(ProduceRecord record, Producer::Delivered delivered) {
    if (broken_) return Status(Code::kUnavailable, "this producer failed: build a new one");
    size_t bytes = RecordBytes(record.key, record.value, record.headers);
    if (bytes > static_cast<size_t>(options_.max_message_bytes) + 70) {
      return Status(Code::kTooLarge,
                    fmt::format("a record of {} bytes is over max_message_bytes {}", bytes,
                                options_.max_message_bytes));
    }
    if (records_ >= options_.max_queue_records || bytes_ + bytes > options_.max_queue_bytes) {
      return Status(Code::kResourceExhausted, "the producer's queue is full: try again later");
    }
    TopicPartition tp{std::move(record.topic), record.partition};
    if (tp.partition < 0) tp.partition = Choose(tp.topic, record.key);
    Lane& lane = lanes_[tp];
    if (lane.tp.topic.empty()) lane.tp = tp;
    Pending pending;
    pending.record.key = std::move(record.key);
    pending.record.value = std::move(record.value);
    pending.record.headers = std::move(record.headers);
    pending.delivered = std::move(delivered);
    pending.deadline = cluster_->loop.Steady() + options_.delivery_timeout;
    pending.bytes = bytes;
    lane.queue.push_back(std::move(pending));
    ++records_;
    bytes_ += bytes;
    Kick(lane, std::max<Duration>(options_.linger, cluster_->Latency()));
    return OkStatus();
  }

  void OnReachability() override {
    for (auto& [tp, lane] : lanes_) {
      if (!lane.queue.empty()) Kick(lane, cluster_->Latency());
    }
  }

 private:
  int32_t Choose(const std::string& name, const std::optional<std::string>& key) {
    const Topic* topic = cluster_->FindTopic(name);
    if (topic == nullptr) return 0;
    auto count = static_cast<int32_t>(topic->partitions.size());
    if (key) return PartitionForKey(*key, count);
    return static_cast<int32_t>(cluster_->Random() % static_cast<uint64_t>(count));
  }

  void Kick(Lane& lane, Duration delay) {
    if (lane.busy) return;
    lane.busy = true;
    cluster_->After(delay, [weak = weak_from_this(), &lane] {
      auto self = weak.lock();
      if (self && self->open_) self->Turn(lane);
    });
  }

  // A trip to the broker, or the one back.
  void Turn(Lane& lane) {
    lane.busy = false;
    if (!cluster_->Reachable(client_)) return Wait(lane);
    cluster_->loop.Cancel(lane.expiry);
    if (lane.sent > 0) {
      Report(lane, lane.sent);
      if (!open_) return;
    } else {
      Send(lane);
    }
    if (!lane.queue.empty()) Kick(lane, cluster_->Latency());
  }

  void Send(Lane& lane) {
    Partition* partition = cluster_->FindPartition(lane.tp);
    Topic* topic = cluster_->FindTopic(lane.tp.topic);
    int64_t now_ms = ToMillis(cluster_->loop.Now());
    for (; lane.sent < lane.queue.size(); ++lane.sent) {
      Pending& p = lane.queue[lane.sent];
      if (p.outcome) continue;  // failed with its producer
      if (partition == nullptr) {
        p.outcome.emplace(Code::kNotFound, "topic " + lane.tp.topic + " or its partition " +
                                               std::to_string(lane.tp.partition) +
                                               " does not exist: create or grow it");
        continue;
      }
      if (p.bytes > topic->max_message_bytes) {
        p.outcome.emplace(Code::kTooLarge, "the record is over max.message.bytes of its topic");
        continue;
      }
      bool lost = cluster_->Chance(cluster_->faults.produce_fail);
      bool lost_ack = !lost && cluster_->Chance(cluster_->faults.produce_lost_ack);
      if (!lost) {
        p.record.topic = lane.tp.topic;
        p.record.partition = lane.tp.partition;
        p.record.timestamp_ms = now_ms;
        int64_t offset = cluster_->Append(*partition, std::move(p.record));
        p.outcome.emplace(Position{lane.tp.partition, offset});
      }
      if (!lost && !lost_ack) continue;
      p.outcome.emplace(Code::kDeadlineExceeded, "no acknowledgement in time: it may be written");
      if (options_.delivery_timeout.count() == 0) return Break();
    }
  }

  // Nothing may be written after a record that was left out.
  void Break() {
    broken_ = true;
    for (auto& [tp, lane] : lanes_) {
      for (Pending& p : lane.queue) {
        bool failed = !p.outcome || !p.outcome->ok();
        if (failed) p.outcome.emplace(Code::kUnavailable, "the producer failed: build a new one");
      }
      lane.sent = lane.queue.size();
      if (!lane.queue.empty()) Kick(lane, cluster_->Latency());
    }
  }

  void Report(Lane& lane, size_t count) {
    for (; count > 0 && open_; --count) {
      Pending p = std::move(lane.queue.front());
      lane.queue.pop_front();
      --lane.sent;
      --records_;
      bytes_ -= p.bytes;
      if (p.delivered) p.delivered(std::move(*p.outcome));
    }
  }

  // Cannot reach the cluster: what is due fails in order, whether it was written or not.
  void Wait(Lane& lane) {
    cluster_->loop.Cancel(lane.expiry);
    if (options_.delivery_timeout.count() == 0) return;
    SteadyTime now = cluster_->loop.Steady();
    size_t due = 0;
    while (due < lane.queue.size() && lane.queue[due].deadline <= now) {
      lane.queue[due++].outcome.emplace(Code::kDeadlineExceeded,
                                        "no answer from the brokers in time: check kafka-brokers");
    }
    lane.sent = std::max(lane.sent, due);
    Report(lane, due);
    if (!open_ || lane.queue.empty()) return;
    Duration left = lane.queue.front().deadline - now;
    lane.expiry = cluster_->loop.After(left, [weak = weak_from_this(), &lane] {
      auto self = weak.lock();
      if (self && self->open_ && !lane.busy) self->Turn(lane);
    });
  }

  ClusterPtr cluster_;
  std::string client_;
  ProducerOptions options_;
  uint64_t id_;
  bool open_ = true;
  bool broken_ = false;
  size_t records_ = 0;
  size_t bytes_ = 0;
  std::map<TopicPartition, Lane> lanes_;  // never erased: tasks point into it
};

class MemoryProducer : public Producer {
 public:
  explicit MemoryProducer(std::shared_ptr<ProducerCore> core) : core_(std::move(core)) {}
  ~MemoryProducer() override { core_->Close(); }

  Status Produce(ProduceRecord record, Delivered delivered) override {
    return core_->Produce(std::move(record), std::move(delivered));
  }
  size_t in_flight() const override { return core_->in_flight(); }

 private:
  std::shared_ptr<ProducerCore> core_;
};

}  // namespace

std::unique_ptr<Producer> NewProducer(ClusterPtr cluster, std::string client,
                                      ProducerOptions options) {
  return std::make_unique<MemoryProducer>(
      std::make_shared<ProducerCore>(std::move(cluster), std::move(client), std::move(options)));
}

}  // namespace dispatch::broker::memory
