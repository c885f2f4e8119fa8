#include "broker-adapters/state_table.h"

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch::broker {

namespace {

constexpr char kHeartbeat[] = "heartbeat";
// Longer than any record of an older version can be late.
constexpr Duration kRememberDeleted{600'000'000};
constexpr Duration kSweep{60'000'000};
// Differences of the clocks of owner and reader below this do not count as age.
constexpr Duration kClockSkew{5'000'000};
constexpr Duration kReaddDelay{1'000'000};

}  // namespace

struct StateTable::Impl : Reader::Listener, std::enable_shared_from_this<StateTable::Impl> {
  using EntityPtr = std::shared_ptr<const Entity>;
  // A key as it is now: an entity, or a deletion that is remembered.
  struct Slot {
    EntityPtr entity;
    int64_t version = 0;
    SteadyTime deleted_at;
  };
  using Slots = std::unordered_map<std::string, Slot>;  // by "org/name"
  struct Waiter {
    std::string kind;
    std::string key;
    int64_t version;
    TimerId timer;
    std::function<void(bool)> done;
  };

  Impl(Broker& b, Loop& l, const RecordSigner& s, std::string name)
      : broker(b),
        loop(l),
        signer(s),
        service(std::move(name)),
        where{StateTopic(service), 0},
        refused(metrics::GetCounter("dispatch_state_records_refused_total",
                                    "State records refused: bad MAC, bad bytes, or an older epoch",
                                    {{"service", service}})),
        heard(metrics::GetGauge("dispatch_state_heard_seconds",
                                "When the newest record of a service's state was written, Unix "
                                "time; a service writes one a second",
                                {{"service", service}})) {}

  void Start() {
    reader = broker.NewSharedReader(*this);
    // Compaction leaves the first offset; kEarliest is asked of a leader, who is not known yet, and
    // librdkafka asks again half a second later.
    reader->Add(where, 0);
    Sweep();
  }

  void OnRecords(std::vector<Record> records) override {
    auto self = shared_from_this();  // a callback may end the table
    for (const Record& record : records) {
      if (closed) return;
      Take(record);
    }
  }

  void OnEnd(const TopicPartition&, int64_t) override { ready = true; }

  void OnPartitionError(const TopicPartition&, const Error& error) override {
    log::Warning("reading state failed topic={} reason=\"{}\"", where.topic, error.message);
    if (error.code != Code::kOutOfRange) return;
    // The topic was made anew, or cleaned under us: all of it again. Versions sort out the rest.
    loop.After(kReaddDelay, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->closed) return;
      self->reader->Add(self->where, kEarliest);
    });
  }

  void Take(const Record& record) {
    Status genuine = signer.Verify(record);
    if (!genuine.ok()) return Refuse(genuine);
    if (!record.value) return;  // the end of a deletion that was told as such before
    auto state = schema::Decode<schema::StateRecord>(*record.value);
    if (!state.ok()) return Refuse(state.status());
    if (!record.key || *record.key != state->Key()) {
      return Refuse(Status(Code::kInvalidArgument, "the key is not that of the entity"));
    }
    if (state->epoch < epoch) {
      return Refuse(Status(Code::kFenced, "written by a relay that was replaced"));
    }
    epoch = state->epoch;
    Refresh(state->written_ms);
    if (state->kind != kHeartbeat) Apply(*state);
  }

  void Refuse(const Status& status) {
    refused.Add();
    if (log::Sometimes("state.refused")) {
      log::Warning("state record refused topic={} reason=\"{}\"", where.topic, status.message());
    }
  }

  // A record from the backlog does not make the table young: it is as old as it says.
  void Refresh(int64_t written_ms) {
    Duration behind = loop.Now() - FromMillis(written_ms);
    if (behind < kClockSkew) behind = Duration::zero();
    SteadyTime at = loop.Steady() - behind;
    fresh = fresh ? std::max(*fresh, at) : at;
    heard.Set(static_cast<double>(written_ms) / 1000);
  }

  void Apply(const schema::StateRecord& state) {
    std::string key = state.org + "/" + state.name;
    Slot& slot = kinds[state.kind][key];
    if (state.version <= slot.version) return;
    EntityPtr after;
    if (!state.deleted) {
      auto document = json::ParseObject(state.document);
      if (!document.ok()) return Refuse(document.status());
      after = std::make_shared<const Entity>(Entity{state.kind, state.org, state.name, state.uuid,
                                                    state.version, std::move(*document)});
    }
    EntityPtr before = std::exchange(slot.entity, after);
    slot.version = state.version;
    slot.deleted_at = loop.Steady();
    if (!before && after) ++entities;
    if (before && !after) --entities;
    if (on_change) on_change(state.kind, key, before, after);
    if (!closed) Wake(state.kind, key, state.version);
  }

  void Wake(const std::string& kind, const std::string& key, int64_t version) {
    std::list<Waiter> due;
    for (auto it = waiters.begin(); it != waiters.end();) {
      auto next = std::next(it);
      if (it->version <= version && it->kind == kind && it->key == key) {
        due.splice(due.end(), waiters, it);
      }
      it = next;
    }
    for (Waiter& waiter : due) {
      if (closed) return;
      loop.Cancel(waiter.timer);
      waiter.done(true);
    }
  }

  const Slot* FindSlot(const std::string& kind, const std::string& key) const {
    auto slots = kinds.find(kind);
    if (slots == kinds.end()) return nullptr;
    auto slot = slots->second.find(key);
    return slot == slots->second.end() ? nullptr : &slot->second;
  }

  void WaitFor(const std::string& kind, const std::string& key, int64_t version, Duration timeout,
               std::function<void(bool)> done) {
    const Slot* slot = FindSlot(kind, key);
    if (slot != nullptr && slot->version >= version) {
      return loop.Post([weak = weak_from_this(), done = std::move(done)] {
        auto self = weak.lock();
        if (self && !self->closed) done(true);
      });
    }
    auto it = waiters.insert(waiters.end(), {kind, key, version, kNoTimer, std::move(done)});
    it->timer = loop.After(timeout, [weak = weak_from_this(), it] {
      auto self = weak.lock();
      if (!self || self->closed) return;
      auto expired = std::move(it->done);
      self->waiters.erase(it);
      expired(false);
    });
  }

  void Sweep() {
    sweep = loop.After(kSweep, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->closed) return;
      SteadyTime before = self->loop.Steady() - kRememberDeleted;
      for (auto& [kind, slots] : self->kinds) {
        std::erase_if(slots, [&](const auto& entry) {
          return !entry.second.entity && entry.second.deleted_at < before;
        });
      }
      self->Sweep();
    });
  }

  void Close() {
    closed = true;
    loop.Cancel(sweep);
    for (Waiter& waiter : waiters) loop.Cancel(waiter.timer);
    waiters.clear();
    reader.reset();
  }

  Broker& broker;
  Loop& loop;
  const RecordSigner& signer;
  std::string service;
  TopicPartition where;
  metrics::Counter refused;
  metrics::Gauge heard;
  std::unique_ptr<Reader> reader;
  OnChange on_change;
  bool ready = false;
  bool closed = false;
  int64_t epoch = 0;
  std::optional<SteadyTime> fresh;
  std::map<std::string, Slots> kinds;
  size_t entities = 0;
  std::list<Waiter> waiters;
  TimerId sweep = kNoTimer;
};

StateTable::StateTable(Broker& broker, Loop& loop, const RecordSigner& signer, std::string service)
    : impl_(std::make_shared<Impl>(broker, loop, signer, std::move(service))) {}

StateTable::~StateTable() { impl_->Close(); }

void StateTable::OnChanged(OnChange on_change) { impl_->on_change = std::move(on_change); }
void StateTable::Start() { impl_->Start(); }
bool StateTable::ready() const { return impl_->ready; }

Duration StateTable::age() const {
  if (!impl_->fresh) return Duration::max();
  return std::max(impl_->loop.Steady() - *impl_->fresh, Duration::zero());
}

std::shared_ptr<const Entity> StateTable::Find(const std::string& kind,
                                               const std::string& key) const {
  const Impl::Slot* slot = impl_->FindSlot(kind, key);
  return slot == nullptr ? nullptr : slot->entity;
}

void StateTable::ForEach(
    const std::string& kind,
    const std::function<void(const std::shared_ptr<const Entity>&)>& visit) const {
  auto slots = impl_->kinds.find(kind);
  if (slots == impl_->kinds.end()) return;
  for (auto& [key, slot] : slots->second) {
    if (slot.entity) visit(slot.entity);
  }
}

size_t StateTable::size() const { return impl_->entities; }

void StateTable::WaitFor(const std::string& kind, const std::string& key, int64_t version,
                         Duration timeout, std::function<void(bool)> done) {
  impl_->WaitFor(kind, key, version, timeout, std::move(done));
}

}  // namespace dispatch::broker
