#include <list>
#include <map>
#include <unordered_map>

#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/errors.h"
#include "broker-adapters/kafka/internal/event_queue.h"
#include "common/check.h"
#include "common/log.h"

namespace dispatch::broker::kafka {

namespace {

// An unknown topic is believed to be one after this long: a new one may not be known to each
// broker.
constexpr int kTopicPropagationMs = 5'000;

// How long a failed gapless producer waits for answers. The failure came as one, so the others are
// close behind; some are never answered, as librdkafka keeps their requests to itself.
constexpr Duration kInFlightGrace{3'000'000};

// A producer whose records time out, and that had none written for so long, is built anew. While
// Kafka is away that costs little; when it is back, librdkafka's idempotent producer may wait for
// ever for answers to what was under way (in all partitions, before it takes another epoch).
constexpr Duration kStuckAfter{5'000'000};

// What waits for the answer to earlier records of its partition goes out after so many, so many
// bytes, or so long.
constexpr size_t kGatherRecords = 64;
constexpr size_t kGatherBytes = 256 * 1024;
constexpr Duration kGatherTime{5'000};

struct Topic;

/// What one Producer has under way, of those that share a core.
struct Port {
  size_t max_records;
  size_t max_bytes;
  std::chrono::milliseconds delivery_timeout;
  size_t records = 0;
  size_t bytes = 0;
};

struct Held {
  ProduceRecord record;
  void* slot;
};

/// The records of one partition (-1: of all those whose partition librdkafka chooses). While some
/// are under way the next ones gather: batches grow with the load, and nothing waits without it.
struct Lane {
  Topic* topic = nullptr;
  size_t in_flight = 0;  // given to librdkafka
  std::vector<Held> held;
  size_t held_bytes = 0;
};

struct Topic {
  TopicPtr topic;
  std::map<int32_t, Lane> lanes;
};

/// Records under way, by the number that librdkafka carries for us.
class Slots {
 public:
  struct Slot {
    Producer::Delivered delivered;
    Lane* lane = nullptr;
    size_t bytes = 0;
    Port* port = nullptr;  // none: it has gone, and is told nothing
  };

  void* Take(Slot slot) {
    ++slot.port->records;
    slot.port->bytes += slot.bytes;
    size_t index;
    if (free_.empty()) {
      index = slots_.size();
      slots_.emplace_back(std::move(slot));
    } else {
      index = free_.back();
      free_.pop_back();
      slots_[index] = std::move(slot);
    }
    return reinterpret_cast<void*>(index + 1);
  }
  Slot Release(void* opaque) {
    size_t index = reinterpret_cast<size_t>(opaque) - 1;
    free_.push_back(index);
    Slot slot = std::exchange(slots_[index], Slot());
    if (slot.port != nullptr) {
      --slot.port->records;
      slot.port->bytes -= slot.bytes;
    }
    return slot;
  }
  const Slot& Get(void* opaque) const { return slots_[reinterpret_cast<size_t>(opaque) - 1]; }
  /// What is under way of `port` is reported to nobody.
  void Orphan(const Port& port) {
    for (Slot& slot : slots_) {
      if (slot.port != &port) continue;
      slot.port = nullptr;
      slot.delivered = nullptr;
    }
  }

 private:
  std::vector<Slot> slots_;
  std::vector<size_t> free_;
};

/// One rd_kafka_t. After a fatal error it takes nothing more and its records fail.
struct Handle {
  RkPtr rk;
  std::unordered_map<std::string, Topic> topics;
  std::shared_ptr<EventQueue> events;
  std::vector<Lane*> soon;  // what they hold is sent at the end of this turn of the loop
  size_t in_flight = 0;
  bool timed_out = false;  // a record, since this was looked at
  SteadyTime written_at;   // when a record was last, or when it was opened
  bool failed = false;
  SteadyTime failed_at;
};

/// Writes what one Producer produces, or all that share it.
class ProducerCore : public std::enable_shared_from_this<ProducerCore> {
 public:
  ProducerCore(ConnectionPtr connection, ProducerOptions options)
      : connection_(std::move(connection)), options_(std::move(options)) {}

  void Join() { ++ports_; }

  /// What `port` gave and librdkafka has not is dropped; with the last port the handle ends.
  void Leave(const Port& port) {
    if (--ports_ == 0) return Close();
    for (Handle& handle : handles_) DropHeld(handle, port);
    slots_.Orphan(port);
  }

  bool open() const { return open_; }

  /// The handle in use; one that failed is not.
  Result<RkPtr> Rk() {
    if (handles_.empty() || handles_.back().failed) RETURN_IF_ERROR(OpenHandle());
    return handles_.back().rk;
  }

  // At once, not with the first record: librdkafka asks for an idempotent producer's id when it
  // opens, and again half a second later when it has no connection yet. Produce tries again.
  void Open() {
    Status status = OpenHandle();
    if (!status.ok()) log::Warning("producer not opened reason=\"{}\"", status.message());
  }

  Status Produce(Port& port, ProduceRecord record, Producer::Delivered delivered) {
    size_t bytes =
        (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
    if (bytes > static_cast<size_t>(options_.max_message_bytes)) {
      return Status(Code::kTooLarge, fmt::format("a record of {} bytes is over the limit of {}",
                                                 bytes, options_.max_message_bytes));
    }
    if (handles_.empty() || handles_.back().failed) {
      if (gapless() && !handles_.empty()) {
        return Status(Code::kUnavailable, "this producer failed: build a new one");
      }
      RETURN_IF_ERROR(OpenHandle());
    }
    if (port.records >= port.max_records || port.bytes + bytes > port.max_bytes) {
      return Status(Code::kResourceExhausted, "the producer's queue is full");
    }
    Handle& handle = handles_.back();
    Topic* topic = FindTopic(handle, record.topic, port.delivery_timeout);
    if (topic == nullptr) {
      return Status(MakeError(rd_kafka_last_error(), "topic " + record.topic));
    }
    Lane& lane = topic->lanes[record.partition];
    lane.topic = topic;
    void* slot = slots_.Take({std::move(delivered), &lane, bytes, &port});
    if (options_.linger.count() > 0) {
      Status status = Send(handle, lane, record, slot, false);
      if (!status.ok()) slots_.Release(slot);
      return status;
    }
    lane.held_bytes += bytes;
    lane.held.push_back({std::move(record), slot});
    if (lane.held.size() >= kGatherRecords || lane.held_bytes >= kGatherBytes) {
      SendHeld(handle, lane);
    } else if (lane.in_flight == 0) {
      if (lane.held.size() == 1) SendSoon(handle, lane);
    } else if (gather_timer_ == kNoTimer) {
      gather_timer_ = connection_->loop.After(kGatherTime, [this] {
        gather_timer_ = kNoTimer;
        SendAllHeld(handles_.back());
      });
    }
    return OkStatus();
  }

 private:
  bool gapless() const { return options_.delivery_timeout.count() == 0; }

  Status OpenHandle() {
    Conf conf(connection_, "");
    conf.Set("enable.idempotence", "true")
        .Set("acks", "all")
        .Set("partitioner", "murmur2_random")
        .Set("linger.ms", fmt::format("{:.3f}", static_cast<double>(options_.linger.count()) / 1e3))
        .Set("delivery.timeout.ms", options_.delivery_timeout.count())
        .Set("topic.metadata.propagation.max.ms", kTopicPropagationMs)
        // Produce keeps the bounds; these, with headers and purged records, are never met.
        .Set("queue.buffering.max.messages", static_cast<int64_t>(4 * options_.max_queue_records))
        .Set("queue.buffering.max.kbytes",
             static_cast<int64_t>(std::max<size_t>(4 * options_.max_queue_bytes / 1024, 1)))
        // The record's and the batch's own bytes come on top of key, value and headers.
        .Set("message.max.bytes", options_.max_message_bytes + 65'536)
        .Set("compression.type", options_.compression)
        .Events(RD_KAFKA_EVENT_DR);
    if (options_.max_batch_records > 0) conf.Set("batch.num.messages", options_.max_batch_records);
    if (gapless()) conf.Set("enable.gapless.guarantee", "true");
    ASSIGN_OR_RETURN(RkPtr rk, conf.Open(RD_KAFKA_PRODUCER));
    handles_.emplace_back();
    Handle* handle = &handles_.back();
    handle->rk = rk;
    handle->written_at = connection_->loop.Steady();
    handle->events = EventQueue::Open(
        connection_->loop, rk, QueuePtr(rd_kafka_queue_get_main(rk.get())),
        [weak = weak_from_this(), handle](EventPtr event) {
          if (auto self = weak.lock()) self->OnEvent(*handle, std::move(event));
        },
        [weak = weak_from_this()] {
          if (auto self = weak.lock()) self->Retire();
        });
    return OkStatus();
  }

  // The first that writes to a topic says how long its records are tried.
  static Topic* FindTopic(Handle& handle, const std::string& name,
                          std::chrono::milliseconds delivery_timeout) {
    auto it = handle.topics.find(name);
    if (it != handle.topics.end()) return &it->second;
    rd_kafka_topic_conf_t* conf = rd_kafka_default_topic_conf_dup(handle.rk.get());
    char text[256];
    rd_kafka_topic_conf_set(conf, "message.timeout.ms",
                            std::to_string(delivery_timeout.count()).c_str(), text, sizeof text);
    TopicPtr topic(rd_kafka_topic_new(handle.rk.get(), name.c_str(), conf));
    if (topic == nullptr) return nullptr;
    return &handle.topics.emplace(name, Topic{std::move(topic), {}}).first->second;
  }

  void DropHeld(Handle& handle, const Port& port) {
    for (auto& [name, topic] : handle.topics) {
      for (auto& [partition, lane] : topic.lanes) {
        std::erase_if(lane.held, [&, &lane = lane](const Held& held) {
          if (slots_.Get(held.slot).port != &port) return false;
          lane.held_bytes -= slots_.Release(held.slot).bytes;
          return true;
        });
      }
    }
  }

  void Close() {
    open_ = false;
    connection_->loop.Cancel(gather_timer_);
    for (Handle& handle : handles_) End(handle);
    handles_.clear();
    slots_ = Slots();
  }

  // At the end of this turn of the loop, with what it brings for the same partition: librdkafka's
  // thread would send the first record of many alone.
  void SendSoon(Handle& handle, Lane& lane) {
    handle.soon.push_back(&lane);
    if (handle.soon.size() > 1) return;
    connection_->loop.Post([weak = weak_from_this(), &handle] {
      auto self = weak.lock();
      if (!self || !self->open_) return;
      for (Lane* lane : std::exchange(handle.soon, {})) self->SendHeld(handle, *lane);
    });
  }

  void SendAllHeld(Handle& handle) {
    for (auto& [name, topic] : handle.topics) {
      for (auto& [partition, lane] : topic.lanes) SendHeld(handle, lane);
    }
  }

  void SendHeld(Handle& handle, Lane& lane) {
    lane.held_bytes = 0;
    auto all = std::exchange(lane.held, {});
    for (Held& held : all) {
      Status status = handle.failed
                          ? Status(Code::kUnavailable, "the producer failed")
                          : Send(handle, lane, held.record, held.slot, &held != &all.back());
      if (!status.ok()) ReportLater(held.slot, std::move(status));
    }
  }

  void ReportLater(void* slot, Status status) {
    connection_->loop.Post([weak = weak_from_this(), slot, status = std::move(status)] {
      auto self = weak.lock();
      if (!self || !self->open_) return;
      auto delivered = self->slots_.Release(slot).delivered;
      if (delivered) delivered(Error{status.code(), status.message()});
    });
  }

  // `more`: others of its lane follow in this turn, and the last one wakes librdkafka's thread (see
  // deploy/local/librdkafka/mend; another librdkafka does not know this, and is woken by the
  // first).
  Status Send(Handle& handle, Lane& lane, const ProduceRecord& record, void* slot, bool more) {
    HeadersPtr headers;
    if (!record.headers.empty()) {
      headers.reset(rd_kafka_headers_new(record.headers.size()));
      for (auto& [name, value] : record.headers) {
        rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()),
                            value.data(), static_cast<ssize_t>(value.size()));
      }
    }
    rd_kafka_vu_t vus[7];
    size_t count = 0;
    auto add = [&](rd_kafka_vtype_t type) -> rd_kafka_vu_t& {
      vus[count].vtype = type;
      return vus[count++];
    };
    add(RD_KAFKA_VTYPE_RKT).u.rkt = lane.topic->topic.get();
    add(RD_KAFKA_VTYPE_PARTITION).u.i32 = record.partition;
    add(RD_KAFKA_VTYPE_MSGFLAGS).u.i = RD_KAFKA_MSG_F_COPY | (more ? RD_KAFKA_MSG_F_PARTITION : 0);
    add(RD_KAFKA_VTYPE_OPAQUE).u.ptr = slot;
    // An empty key or value is told from none by its pointer.
    if (record.key) {
      auto& key = add(RD_KAFKA_VTYPE_KEY).u.mem;
      key.ptr = const_cast<char*>(record.key->data());
      key.size = record.key->size();
    }
    if (record.value) {
      auto& value = add(RD_KAFKA_VTYPE_VALUE).u.mem;
      value.ptr = const_cast<char*>(record.value->data());
      value.size = record.value->size();
    }
    if (headers) add(RD_KAFKA_VTYPE_HEADERS).u.headers = headers.get();
    ErrorPtr error(rd_kafka_produceva(handle.rk.get(), vus, count));
    if (error) {
      rd_kafka_resp_err_t err = rd_kafka_error_code(error.get());
      if (err == RD_KAFKA_RESP_ERR__FATAL) Fail(handle, FatalText(handle));
      return Status(
          MakeError(err, "produce to " + record.topic, rd_kafka_error_string(error.get())));
    }
    (void)headers.release();
    ++handle.in_flight;
    ++lane.in_flight;
    return OkStatus();
  }

  void OnEvent(Handle& handle, EventPtr event) {
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_DR:
        while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
          OnReport(handle, *message);
          if (!open_) return;
        }
        if (IsStuck(handle)) Fail(handle, "its records time out");
        // Not at each report: the ones behind it in the same answer may produce, too.
        for (Lane* lane : std::exchange(answered_, {})) {
          if (lane->in_flight == 0) SendHeld(handle, *lane);
        }
        break;
      case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__FATAL) {
          Fail(handle, FatalText(handle));
        } else {
          LogEvent(handle.rk.get(), event.get());
        }
        break;
      default:
        LogEvent(handle.rk.get(), event.get());
    }
  }

  bool IsStuck(Handle& handle) const {
    return std::exchange(handle.timed_out, false) &&
           connection_->loop.Steady() - handle.written_at > kStuckAfter;
  }

  static std::string FatalText(const Handle& handle) {
    char text[512] = "";
    rd_kafka_fatal_error(handle.rk.get(), text, sizeof text);
    return text;
  }

  void OnReport(Handle& handle, const rd_kafka_message_t& message) {
    --handle.in_flight;
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      handle.written_at = connection_->loop.Steady();
    } else if (message.err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) {
      handle.timed_out = true;
    }
    auto [delivered, lane, bytes, port] = slots_.Release(message._private);
    if (--lane->in_flight == 0 && !lane->held.empty()) answered_.push_back(lane);
    if (!delivered) return;
    if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      delivered(Position{message.partition, message.offset});
      return;
    }
    delivered(MakeError(message.err, std::string("produce to ") + rd_kafka_topic_name(message.rkt),
                        rd_kafka_message_produce_errstr(&message)));
  }

  // What is queued will not go out: have it reported now. The next Produce opens a new handle, but
  // for a gapless producer: its owner waits for what is in flight, so that nothing of it lands
  // between the records of the next.
  void Fail(Handle& handle, const std::string& text) {
    if (handle.failed) return;
    handle.failed = true;
    handle.failed_at = connection_->loop.Steady();
    log::Warning("producer failed and is built anew client={} reason=\"{}\"",
                 connection_->options.client_id, text);
    Purge(handle);
    connection_->loop.Post([weak = weak_from_this(), &handle] {
      if (auto self = weak.lock(); self && self->open_) self->SendAllHeld(handle);
    });
  }

  void Purge(Handle& handle) const {
    bool wait = gapless() && connection_->loop.Steady() < handle.failed_at + kInFlightGrace;
    rd_kafka_purge(handle.rk.get(), RD_KAFKA_PURGE_F_QUEUE |
                                        (wait ? 0 : RD_KAFKA_PURGE_F_INFLIGHT) |
                                        RD_KAFKA_PURGE_F_NON_BLOCKING);
  }

  void End(Handle& handle) {
    handle.events->Close();
    handle.topics.clear();
    handle.rk.reset();
  }

  // Failed handles go when all their records were reported. Not inside their own turn.
  void Retire() {
    bool any = false;
    for (Handle& handle : handles_) {
      any |= handle.failed && handle.in_flight == 0;
      // What was in flight, and is now queued to be tried again.
      if (handle.failed && handle.in_flight > 0) Purge(handle);
    }
    if (!any || handles_.size() < 2) return;
    connection_->loop.Post([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || !self->open_) return;
      for (auto it = self->handles_.begin(); it != std::prev(self->handles_.end());) {
        if (it->failed && it->in_flight == 0) {
          self->End(*it);
          it = self->handles_.erase(it);
        } else {
          ++it;
        }
      }
    });
  }

  ConnectionPtr connection_;
  ProducerOptions options_;
  size_t ports_ = 0;
  bool open_ = true;
  std::list<Handle> handles_;  // the last one is in use; event handlers point to them
  Slots slots_;
  std::vector<Lane*> answered_;  // within one answer: whose records under way are all reported
  TimerId gather_timer_ = kNoTimer;
};

class KafkaProducer : public LendingProducer {
 public:
  KafkaProducer(std::shared_ptr<ProducerCore> core, const ProducerOptions& options)
      : core_(std::move(core)),
        port_{.max_records = options.max_queue_records,
              .max_bytes = options.max_queue_bytes,
              .delivery_timeout = options.delivery_timeout} {
    core_->Join();
  }
  ~KafkaProducer() override { core_->Leave(port_); }
  Status Produce(ProduceRecord record, Delivered delivered) override {
    return core_->Produce(port_, std::move(record), std::move(delivered));
  }
  size_t in_flight() const override { return port_.records; }
  Result<RkPtr> Handle() override { return core_->Rk(); }

 private:
  std::shared_ptr<ProducerCore> core_;
  Port port_;
};

std::shared_ptr<ProducerCore> SharedCore(const ConnectionPtr& connection) {
  auto core = std::static_pointer_cast<ProducerCore>(connection->shared_producer.lock());
  if (core != nullptr && core->open()) return core;
  // The bounds are each producer's own.
  core = std::make_shared<ProducerCore>(
      connection, ProducerOptions{.max_queue_records = 1'000'000, .max_queue_bytes = 1 << 30});
  core->Open();
  connection->shared_producer = core;
  return core;
}

}  // namespace

std::unique_ptr<Producer> NewProducer(ConnectionPtr connection, ProducerOptions options) {
  if (options.shared) return NewSharedProducer(connection, options);
  auto core = std::make_shared<ProducerCore>(std::move(connection), options);
  core->Open();
  return std::make_unique<KafkaProducer>(std::move(core), options);
}

std::unique_ptr<LendingProducer> NewSharedProducer(const ConnectionPtr& connection,
                                                   const ProducerOptions& options) {
  DISPATCH_CHECK(options.delivery_timeout.count() > 0);  // a gapless one fails as a whole
  return std::make_unique<KafkaProducer>(SharedCore(connection), options);
}

}  // namespace dispatch::broker::kafka
