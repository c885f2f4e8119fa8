#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/consumer.h"
#include "common/check.h"
#include "common/log.h"

namespace dispatch::broker::kafka {

namespace {

constexpr Duration kReopen{1'000'000};

class ReaderCore : public Consumer {
 public:
  ReaderCore(ConnectionPtr connection, std::string client_id, Reader::Listener& listener,
             size_t max_prefetch_bytes)
      : Consumer(std::move(connection)),
        client_id_(std::move(client_id)),
        listener_(&listener),
        max_bytes_(max_prefetch_bytes) {}

  void Open() {
    Conf conf(connection_, client_id_);
    // assign() wants a group's name, though nothing is ever joined or committed.
    conf.Set("group.id", client_id_.empty() ? connection_->options.client_id : client_id_)
        .Set("enable.auto.commit", "false")
        .Set("enable.auto.offset.store", "false")
        .Set("auto.offset.reset", "error")
        .Set("enable.partition.eof", "true")
        .Set("fetch.queue.backoff.ms", 20)
        .Set("topic.metadata.refresh.interval.ms", 10'000)
        .Set("topic.metadata.propagation.max.ms", 5'000)
        .Set("queued.max.messages.kbytes",
             static_cast<int64_t>(std::max<size_t>(max_bytes_ / 1024, 1)))
        .Events(RD_KAFKA_EVENT_FETCH);
    Status status = OpenHandle(conf);
    DISPATCH_CHECK(status.ok());
  }

  void Abandon() {
    listener_ = nullptr;
    CloseHandle();
  }

  void Add(const TopicPartition& tp, int64_t offset) {
    auto [it, added] = parts_.try_emplace(tp);
    if (!added) return Move(tp, it->second, offset);
    it->second.next = offset;
    Assign({tp});
  }

  void Remove(const TopicPartition& tp) {
    if (Find(tp) != nullptr) Unassign({tp});
  }

 private:
  void Deliver(std::vector<Record> records) override {
    auto read = WithoutEnd(records);
    listener_->OnRecords(std::move(records));
    for (const TopicPartition& tp : read) {
      Part* part = listener_ != nullptr ? Find(tp) : nullptr;
      if (part != nullptr && IsAtEnd(tp, *part)) OnEof(tp, *part, part->next);
    }
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
    listener_->OnPartitionError(tp, error);
  }
  void OnOther(EventPtr) override {}
  void OnEof(const TopicPartition& tp, Part& part, int64_t offset) override {
    if (offset < part.next || part.told_end == offset) return;
    part.next = offset;
    part.told_end = offset;
    listener_->OnEnd(tp, offset);
  }
  // A reader is in no group, so this is a librdkafka of another mind: start over where we stood.
  void OnFatal() override {
    log::Error("reader failed and is opened anew client={}", client_id_);
    DropHandle();
    connection_->loop.After(kReopen, [weak = weak_from_this()] {
      auto self = std::static_pointer_cast<ReaderCore>(weak.lock());
      if (!self || self->listener_ == nullptr || self->rk_) return;
      self->Open();
      std::vector<TopicPartition> all;
      for (auto& [tp, part] : self->parts_) all.push_back(tp);
      self->Assign(all);
    });
  }

  std::string client_id_;
  Reader::Listener* listener_;
  size_t max_bytes_;
};

class KafkaReader : public Reader {
 public:
  explicit KafkaReader(std::shared_ptr<ReaderCore> core) : core_(std::move(core)) {}
  ~KafkaReader() override { core_->Abandon(); }
  void Add(const TopicPartition& tp, int64_t offset) override { core_->Add(tp, offset); }
  void Remove(const TopicPartition& tp) override { core_->Remove(tp); }
  void Pause(const TopicPartition& tp) override { core_->Pause(tp); }
  void Resume(const TopicPartition& tp) override { core_->Resume(tp); }

 private:
  std::shared_ptr<ReaderCore> core_;
};

}  // namespace

std::unique_ptr<Reader> NewReader(ConnectionPtr connection, std::string client_id,
                                  Reader::Listener& listener, size_t max_prefetch_bytes) {
  auto core = std::make_shared<ReaderCore>(std::move(connection), std::move(client_id), listener,
                                           max_prefetch_bytes);
  core->Open();
  return std::make_unique<KafkaReader>(std::move(core));
}

}  // namespace dispatch::broker::kafka
