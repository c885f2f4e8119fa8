#include "broker-adapters/gapless_producer.h"

#include <map>
#include <utility>

#include "common/log.h"

namespace dispatch::broker {

namespace {
constexpr Duration kRebuildDelay = std::chrono::milliseconds(100);
}

struct GaplessProducer::Impl : std::enable_shared_from_this<GaplessProducer::Impl> {
  struct Entry {
    ProduceRecord record;
    std::function<void(Status)> acknowledged;
    size_t bytes = 0;
  };

  Impl(Broker& broker, Loop& loop, ProducerOptions options)
      : broker(broker), loop(loop), options(std::move(options)) {
    producer = broker.NewProducer(this->options);
  }

  // Sends what is not sent yet, in order. The first refusal ends the turn: a later record of the
  // same partition must not overtake it.
  void SendUnsent() {
    if (producer == nullptr) return;
    for (auto it = entries.lower_bound(next_to_send); it != entries.end(); ++it) {
      uint64_t serial = it->first;
      auto status = producer->Produce(
          it->second.record, [weak = weak_from_this(), serial, epoch = epoch](Result<Position> at) {
            if (auto self = weak.lock()) self->Reported(serial, epoch, at.status());
          });
      if (status.ok()) {
        next_to_send = serial + 1;
        continue;
      }
      if (status.code() == Code::kTooLarge) {
        next_to_send = serial + 1;
        loop.Post([weak = weak_from_this(), serial, epoch = epoch, status] {
          if (auto self = weak.lock()) self->Reported(serial, epoch, status);
        });
        continue;
      }
      if (status.code() == Code::kResourceExhausted && producer->in_flight() > 0) return;
      return Rebuild(status);
    }
  }

  void Reported(uint64_t serial, uint64_t of_epoch, const Status& status) {
    if (of_epoch != epoch) return;
    if (!status.ok() && status.code() != Code::kTooLarge) return Rebuild(status);
    auto it = entries.find(serial);
    if (it == entries.end()) return;
    auto acknowledged = std::move(it->second.acknowledged);
    bytes -= it->second.bytes;
    entries.erase(it);
    acknowledged(status);
    if (next_to_send < next_serial) SendUnsent();
  }

  // After an error nobody knows what was written: everything unacknowledged is produced again, in
  // order, by a producer of its own epoch. Reports to the old one are ignored.
  void Rebuild(const Status& status) {
    if (log::Sometimes("gapless.rebuild")) {
      log::Warning("producer is built anew unacknowledged={} error=\"{}\"", entries.size(),
                   status.message());
    }
    ++epoch;
    retired = std::move(producer);
    loop.After(kRebuildDelay, [weak = weak_from_this(), of_epoch = epoch] {
      auto self = weak.lock();
      if (self == nullptr || self->epoch != of_epoch) return;
      self->retired.reset();
      self->producer = self->broker.NewProducer(self->options);
      self->next_to_send = self->entries.empty() ? self->next_serial : self->entries.begin()->first;
      self->SendUnsent();
    });
  }

  Broker& broker;
  Loop& loop;
  ProducerOptions options;
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Producer> retired;  // destroyed on the loop, not inside its own callback
  std::map<uint64_t, Entry> entries;
  uint64_t next_serial = 1;
  uint64_t next_to_send = 1;
  uint64_t epoch = 1;
  size_t bytes = 0;
};

GaplessProducer::GaplessProducer(Broker& broker, Loop& loop, ProducerOptions options)
    : impl_(std::make_shared<Impl>(broker, loop, std::move(options))) {}

GaplessProducer::~GaplessProducer() = default;

void GaplessProducer::Produce(ProduceRecord record, std::function<void(Status)> acknowledged) {
  Impl::Entry entry;
  entry.bytes = (record.value ? record.value->size() : 0) + 256;
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
