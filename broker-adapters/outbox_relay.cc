#include "broker-adapters/outbox_relay.h"

#include <algorithm>
#include <utility>

#include "broker-adapters/outbox_tail.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/uuid.h"

namespace dispatch::broker {

namespace {

constexpr size_t kBatch = 500;
constexpr size_t kRepairsATime = 100;
constexpr Duration kSweep{60'000'000};

std::chrono::milliseconds ToMs(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d);
}

}  // namespace

struct OutboxRelay::Impl : Reader::Listener, std::enable_shared_from_this<OutboxRelay::Impl> {
  Impl(Broker& b, Loop& l, const RecordSigner& s, OutboxStore& st, Options o)
      : broker(b),
        loop(l),
        signer(s),
        store(st),
        options(std::move(o)),
        // Its own for each run of the process: a new holder raises the epoch.
        owner(options.owner + "/" + Uuid::Random().ToString()),
        topic(StateTopic(options.service)),
        published(metrics::GetCounter("dispatch_outbox_published_total",
                                      "Outbox rows written to the state topic")),
        repaired(metrics::GetCounter("dispatch_outbox_repaired_total",
                                     "Keys published again after an older epoch overwrote them")),
        lead(metrics::GetGauge("dispatch_outbox_leading", "1 while this instance is the relay")) {}

  // A third of the lease: a record is in the log, or given up, well before the lease ends.
  Duration WriteTimeout() const { return options.lease_ttl / 3; }
  bool Leading() const { return leading && loop.Steady() < lease_until; }
  bool MayWrite() const {
    return Leading() && !closed && loop.Steady() + WriteTimeout() < lease_until;
  }

  template <typename F>
  auto Guard(F f) {
    return [weak = weak_from_this(), f = std::move(f)](auto&&... args) mutable {
      auto self = weak.lock();
      if (self && !self->closed) f(*self, std::forward<decltype(args)>(args)...);
    };
  }
  void Every(Duration period, void (Impl::*what)()) {
    loop.AfterAbout(period, Guard([period, what](Impl& self) {
                      (self.*what)();
                      self.Every(period, what);
                    }));
  }

  void Start() {
    Renew();
    Every(options.lease_ttl / 6, &Impl::Tend);
    Every(options.poll, &Impl::Pump);
    Every(options.heartbeat, &Impl::Heartbeat);
    Every(kSweep, &Impl::Sweep);
  }

  // Who leads renews at a third of the lease, who waits looks twice as often.
  void Tend() {
    if (Leading() && lease_until - loop.Steady() > options.lease_ttl * 2 / 3) return;
    Renew();
  }

  void Renew() {
    if (stopping || renewing) return;
    renewing = true;
    SteadyTime called = loop.Steady();
    store.AcquireLease(owner, options.lease_ttl,
                       Guard([called](Impl& self, Result<OutboxStore::Lease> lease) {
                         self.renewing = false;
                         self.Renewed(called, lease);
                       }));
  }

  void Renewed(SteadyTime called, const Result<OutboxStore::Lease>& lease) {
    if (stopping) return;
    if (!lease.ok()) {
      // The lease goes on as long as it was given for.
      if (log::Sometimes("outbox.lease")) {
        log::Warning("relay lease not renewed service={} reason=\"{}\"", options.service,
                     lease.message());
      }
      if (!Leading()) StepDown();
      return;
    }
    if (!lease->held) return StepDown();
    lease_until = called + lease->valid_for;
    if (leading && lease->epoch == epoch) return;
    StepDown();
    leading = true;
    epoch = lease->epoch;
    lead.Set(1);
    log::Info("leading the outbox service={} epoch={}", options.service, epoch);
    producer = broker.NewProducer({.delivery_timeout = ToMs(WriteTimeout()), .shared = true});
    tail = OutboxTail();
    tail_read = false;
    reader = broker.NewSharedReader(*this);
    reader->Add({topic, 0}, kEarliest);
    Heartbeat();
    Pump();
  }

  void StepDown() {
    if (!leading) return;
    log::Info("no longer leading the outbox service={} epoch={}", options.service, epoch);
    lead.Set(0);
    leading = false;
    ++term;  // what is under way of the old one is not waited for
    busy = false;
    reader.reset();
    // Not inside one of its own callbacks.
    producer.reset();
  }

  // One batch at a time: read, publish, remove.
  void Pump() {
    if (busy || stopping || !MayWrite()) return;
    busy = true;
    again = false;
    store.Read(kBatch, Guard([at = term](Impl& self, Result<std::vector<OutboxRow>> rows) {
                 if (at != self.term) return;
                 if (!rows.ok() || rows->empty()) return self.Idle(rows.status());
                 self.Publish(std::move(*rows));
               }));
  }

  void Idle(const Status& status) {
    busy = false;
    if (!status.ok() && log::Sometimes("outbox.idle")) {
      log::Warning("outbox batch not published service={} reason=\"{}\"", options.service,
                   status.message());
    }
    if (status.ok() && again) return Pump();
    if (status.ok()) Repair();
  }

  struct Batch {
    std::vector<OutboxRow> rows;
    size_t reports = 0;
    Status failure;
  };

  void Publish(std::vector<OutboxRow> rows) {
    if (!MayWrite()) return Idle(Status(Code::kUnavailable, "the lease is about to end"));
    auto batch = std::make_shared<Batch>();
    batch->rows = std::move(rows);
    for (OutboxRow& row : batch->rows) {
      Produce(row.record, Guard([batch, at = term](Impl& self, Status status) {
                if (at != self.term) return;
                self.Reported(batch, std::move(status));
              }));
    }
  }

  void Reported(const std::shared_ptr<Batch>& batch, Status status) {
    if (status.code() == Code::kTooLarge) {
      // It never will be smaller; the rest must not wait behind it.
      log::Error("an entity is too large for its topic and is not published topic={}", topic);
    } else if (!status.ok() && batch->failure.ok()) {
      batch->failure = std::move(status);
    }
    if (++batch->reports < batch->rows.size()) return;
    // Rows stay where they are and are published again, in order: readers take newer versions only.
    if (!batch->failure.ok()) return Idle(batch->failure);
    published.Add(static_cast<double>(batch->rows.size()));
    std::vector<std::pair<int64_t, int64_t>> done;
    for (OutboxRow& row : batch->rows) {
      done.emplace_back(row.xid, row.seq);
      // Known at once, so that Sweep never takes an entity for the deletion before it.
      row.record.epoch = epoch;
      row.record.written_ms = ToMillis(loop.Now());
      tail.Take(row.record);
    }
    if (batch->rows.size() == kBatch) again = true;
    store.Remove(std::move(done), epoch, Guard([at = term](Impl& self, Status removed) {
                   if (at == self.term) self.Idle(removed);
                 }));
  }

  void Produce(schema::StateRecord state, std::function<void(Status)> done) {
    state.epoch = epoch;
    state.written_ms = ToMillis(loop.Now());
    ProduceRecord record{
        .topic = topic, .partition = 0, .key = state.Key(), .value = schema::Encode(state)};
    Send(std::move(record), std::move(done));
  }

  void Send(ProduceRecord record, std::function<void(Status)> done) {
    signer.Sign(record);
    Status status =
        producer->Produce(std::move(record), [done](Result<Position> p) { done(p.status()); });
    if (!status.ok()) loop.Post([done, status] { done(status); });
  }

  void Heartbeat() {
    if (!MayWrite()) return;
    schema::StateRecord beat;
    beat.kind = "heartbeat";
    beat.name = options.service;
    Produce(std::move(beat), [](Status) {});
  }

  void OnRecords(std::vector<Record> records) override {
    for (const Record& record : records) {
      if (!record.key) continue;
      if (!signer.Verify(record).ok()) {
        tail.TakeForged(*record.key);
        continue;
      }
      if (!record.value) {
        tail.TakeNull(*record.key);
        continue;
      }
      auto state = schema::Decode<schema::StateRecord>(*record.value);
      if (state.ok() && state->Key() == *record.key) tail.Take(*state);
    }
  }
  void OnEnd(const TopicPartition&, int64_t) override { tail_read = true; }
  void OnPartitionError(const TopicPartition& tp, const Error& error) override {
    log::Warning("tailing the state topic failed topic={} reason=\"{}\"", topic, error.message);
    if (error.code == Code::kOutOfRange) reader->Add(tp, kEarliest);
  }

  // Between batches: what an older epoch overwrote is published as it is now.
  void Repair() {
    if (!tail_read || tail.overwritten().empty() || !MayWrite()) return;
    busy = true;
    auto left = std::make_shared<size_t>(std::min(kRepairsATime, tail.overwritten().size()));
    auto next = Guard([left, at = term](Impl& self, Status status) {
      if (at != self.term || --*left > 0) return;
      self.busy = false;  // the tail tells when it is mended; the next poll looks again
      if (!status.ok() && log::Sometimes("outbox.repair")) {
        log::Warning("repair failed service={} reason=\"{}\"", self.options.service,
                     status.message());
      }
    });
    size_t count = *left;
    for (auto it = tail.overwritten().begin(); count > 0; ++it, --count) {
      store.Current(
          it->kind, it->org_name,
          Guard([key = *it, next, at = term](Impl& self, Result<schema::StateRecord> now) mutable {
            if (at != self.term) return;
            self.Restore(key, now, next);
          }));
    }
  }

  void Restore(const OutboxTail::Key& key, const Result<schema::StateRecord>& now,
               std::function<void(Status)> done) {
    if (!MayWrite()) return done(Status(Code::kUnavailable, "the lease is about to end"));
    repaired.Add();
    if (now.ok()) return Produce(*now, std::move(done));
    if (now.code() != Code::kNotFound) return done(now.status());
    Forget(key, std::move(done));  // deleted so long ago that nobody remembers
  }

  void Forget(const OutboxTail::Key& key, std::function<void(Status)> done) {
    Send({.topic = topic, .partition = 0, .key = key.kind + "/" + key.org_name}, std::move(done));
  }

  // Deletions that everybody has seen by now leave the topic.
  void Sweep() {
    if (!tail_read || busy || !MayWrite()) return;
    int64_t before = ToMillis(loop.Now() - options.keep_deleted);
    for (auto& key : tail.DeletedBefore(before)) Forget(key, [](Status) {});
  }

  void Nudge() {
    again = true;
    loop.Post(Guard([](Impl& self) { self.Pump(); }));
  }

  void Stop(std::function<void()> stopped) {
    stopping = true;
    if (busy && Leading()) {
      loop.After(Duration(20'000), Guard([stopped = std::move(stopped)](Impl& self) mutable {
                   self.Stop(std::move(stopped));
                 }));
      return;
    }
    if (leading) store.ReleaseLease(owner, epoch);
    StepDown();
    loop.Post(std::move(stopped));
  }

  void Close() {
    closed = true;
    reader.reset();
    producer.reset();
  }

  Broker& broker;
  Loop& loop;
  const RecordSigner& signer;
  OutboxStore& store;
  Options options;
  std::string owner;
  std::string topic;
  metrics::Counter published;
  metrics::Counter repaired;
  metrics::Gauge lead;
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Reader> reader;
  OutboxTail tail;
  bool tail_read = false;
  bool leading = false;
  int64_t epoch = 0;
  SteadyTime lease_until;
  uint64_t term = 0;  // rises whenever leading ends
  bool renewing = false;
  bool busy = false;
  bool again = false;  // look once more after this batch
  bool stopping = false;
  bool closed = false;
};

OutboxRelay::OutboxRelay(Broker& broker, Loop& loop, const RecordSigner& signer, OutboxStore& store,
                         Options options)
    : impl_(std::make_shared<Impl>(broker, loop, signer, store, std::move(options))) {}

OutboxRelay::~OutboxRelay() { impl_->Close(); }

void OutboxRelay::Start() { impl_->Start(); }
void OutboxRelay::Nudge() { impl_->Nudge(); }
bool OutboxRelay::leading() const { return impl_->Leading(); }
void OutboxRelay::Stop(std::function<void()> stopped) { impl_->Stop(std::move(stopped)); }

}  // namespace dispatch::broker
