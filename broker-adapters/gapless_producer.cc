#include "broker-adapters/gapless_producer.h"

#include <map>
#include <utility>

#include "common/log.h"

namespace dispatch::broker {

namespace {

constexpr Duration kRebuildDelay{100'000};
// Requests of the failed producer that are still on their way could land between ours.
constexpr Duration kRetireLimit{30'000'000};

// Refusals of one record, which say nothing about the ones behind it.
bool OwnFault(Code code) {
  return code == Code::kTooLarge || code == Code::kNotFound || code == Code::kInvalidArgument ||
         code == Code::kPermissionDenied;
}

}  // namespace

struct GaplessProducer::Impl : std::enable_shared_from_this<GaplessProducer::Impl> {
  struct Entry {
    ProduceRecord record;
    std::function<void(Status)> acknowledged;
    size_t bytes = 0;
  };

  Impl(Broker& b, Loop& l, ProducerOptions o)
      : broker(b), broker_alive(b.alive()), loop(l), options(std::move(o)) {
    options.delivery_timeout = std::chrono::milliseconds(0);
    NewProducer();
  }

  void NewProducer() {
    ProducerOptions now = options;
    if (single) now.max_batch_records = 1;
    producer = broker.NewProducer(now);
  }

  // Sends what is not sent yet, in order. The first refusal ends the turn: a later record of the
  // same partition must not overtake it.
  void SendUnsent() {
    for (auto it = entries.lower_bound(next_to_send); producer && it != entries.end(); ++it) {
      uint64_t serial = it->first;
      auto status = producer->Produce(
          it->second.record,
          [weak = weak_from_this(), serial, at = epoch, alone = single](Result<Position> p) {
            if (auto self = weak.lock()) self->Reported(serial, at, alone, p.status());
          });
      if (status.code() == Code::kResourceExhausted && producer->in_flight() > 0) return;
      if (!status.ok() && !OwnFault(status.code())) return Rebuild(status);
      next_to_send = serial + 1;
      if (status.ok()) continue;
      loop.Post([weak = weak_from_this(), serial, status] {
        if (auto self = weak.lock()) self->Acknowledge(serial, status);
      });
    }
    // The last ones may have been acknowledged by the producer before this one.
    if (producer) next_to_send = next_serial;
  }

  void Reported(uint64_t serial, uint64_t of_epoch, bool alone, const Status& status) {
    bool old = of_epoch != epoch;
    if (status.code() == Code::kTooLarge && !alone) return BatchTooLarge(old, status);
    // What the failed producer still acknowledges is acknowledged: it need not be written again.
    // Its failures are what it was given up for.
    bool final = status.ok() || status.code() == Code::kTooLarge;
    if (old && !final) return;
    if (!status.ok() && !OwnFault(status.code())) return Rebuild(status);
    Acknowledge(serial, status);
  }

  // Nobody knows which of the batch's records it is: all go again, one by one.
  void BatchTooLarge(bool old, const Status& status) {
    if (old && producer != nullptr) return;
    single = true;
    single_until = next_serial - 1;
    if (!old) Rebuild(status);
  }

  void Acknowledge(uint64_t serial, const Status& status) {
    auto it = entries.find(serial);
    if (it == entries.end() || closed) return;
    auto acknowledged = std::move(it->second.acknowledged);
    bytes -= it->second.bytes;
    entries.erase(it);
    if (acknowledged) acknowledged(status);
    if (closed || producer == nullptr) return;
    if (single && (entries.empty() || entries.begin()->first > single_until)) {
      single = false;
      return Rebuild(OkStatus());
    }
    if (next_to_send < next_serial) SendUnsent();
  }

  // Nobody knows what was written: everything unacknowledged is produced again, in order, by a new
  // producer, when the old one has nothing under way any more.
  void Rebuild(const Status& status) {
    if (!status.ok() && log::Sometimes("gapless.rebuild")) {
      log::Warning("producer is built anew unacknowledged={} reason=\"{}\"", entries.size(),
                   status.message());
    }
    ++epoch;
    retired = std::move(producer);
    retire_limit = loop.Steady() + kRetireLimit;
    loop.After(kRebuildDelay, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->FinishRebuild();
    });
  }

  void FinishRebuild() {
    if (closed || broker_alive.expired()) return;
    if (retired->in_flight() > 0 && loop.Steady() < retire_limit) {
      loop.After(kRebuildDelay, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->FinishRebuild();
      });
      return;
    }
    retired.reset();
    NewProducer();
    next_to_send = entries.empty() ? next_serial : entries.begin()->first;
    SendUnsent();
  }

  Broker& broker;
  std::weak_ptr<const void> broker_alive;
  Loop& loop;
  ProducerOptions options;
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Producer> retired;
  SteadyTime retire_limit;
  std::map<uint64_t, Entry> entries;  // unacknowledged, by the order they were given
  uint64_t next_serial = 1;
  uint64_t next_to_send = 1;
  uint64_t epoch = 1;  // of the producer
  size_t bytes = 0;
  bool single = false;  // no batches, until what was under way is through
  uint64_t single_until = 0;
  bool closed = false;
};

GaplessProducer::GaplessProducer(Broker& broker, Loop& loop, ProducerOptions options)
    : impl_(std::make_shared<Impl>(broker, loop, std::move(options))) {}

GaplessProducer::~GaplessProducer() { impl_->closed = true; }

void GaplessProducer::Produce(ProduceRecord record, std::function<void(Status)> acknowledged) {
  Impl::Entry entry;
  entry.bytes =
      (record.value ? record.value->size() : 0) + (record.key ? record.key->size() : 0) + 256;
  entry.record = std::move(record);
  entry.acknowledged = std::move(acknowledged);
  impl_->bytes += entry.bytes;
  uint64_t serial = impl_->next_serial++;
  impl_->entries.emplace_hint(impl_->entries.end(), serial, std::move(entry));
  if (impl_->next_to_send == serial) impl_->SendUnsent();
}

size_t GaplessProducer::outstanding() const { return impl_->entries.size(); }
size_t GaplessProducer::outstanding_bytes() const { return impl_->bytes; }

bool GaplessProducer::full() const {
  // Below the producer's own bounds, so that it never refuses for room.
  return impl_->entries.size() >= impl_->options.max_queue_records / 2 ||
         impl_->bytes >= impl_->options.max_queue_bytes / 2;
}

}  // namespace dispatch::broker
