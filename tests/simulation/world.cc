#include "tests/simulation/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker-adapters/topics.h"
#include "event-manager/src/adapters/progress_table.h"
#include "schema/rfc3339.h"
#include "tests/simulation/held_store.h"

namespace dispatch::simulation {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int32_t kEventPartitions = 3;
constexpr int32_t kInvocationsPartitions = 4;

/// Forgets attempts: the checks look at the endpoints.
class NoLog : public AttemptLog {
 public:
  void Record(Attempt) override {}
};

}  // namespace

/// Answers for every subscription; its sink URL is its index.
class World::Endpoints : public Sender {
 public:
  explicit Endpoints(World& world) : world_(world) {}

  void Send(SendRequest request, std::function<void(Answer)> done) override {
    size_t index = std::stoul(request.sink.url);
    for (const auto& [name, value] : request.event->headers) {
      if (name == "ce_deliverat" && *schema::ParseRfc3339(value) > world_.loop_.Now()) {
        ++world_.early_;
      }
    }
    const Sub& sub = world_.subs_[index];
    bool faults = world_.options_.endpoint_faults && !world_.healed_ && sub.fails_at_times;
    Answer answer;
    answer.status = 200;
    Duration latency = world_.Between(milliseconds(1), milliseconds(20));
    if (!world_.healed_ && world_.loop_.Steady() < sub.hangs_until) {
      answer.status = 0;
      answer.failure = "timeout";
      latency = request.timeout;
    } else if (sub.rejects && !world_.healed_) {  // its circuit may stay open until then
      answer.status = 400;
    } else if (!world_.healed_ && world_.loop_.Steady() < sub.down_until) {
      answer.status = 503;
    } else if (faults && world_.Chance(0.2)) {
      answer.status = 503;
    } else if (faults && world_.Chance(0.05)) {
      answer.status = 0;
      answer.failure = "timeout";
      latency = request.timeout;
    }
    // The endpoint has it before the answer arrives; the answer may find the sender gone.
    world_.loop_.After(latency / 2, [this, index, id = request.webhook_id, status = answer.status] {
      if (status != 200) return;
      Success& success = world_.successes_[{index, id}];
      if (++success.count > 1) ++world_.duplicates_;
      if (success.count == 1) success.place = ++world_.places_;
    });
    if (world_.options_.planted == Bug::kFailureIsSuccess && answer.status == 503) {
      answer.status = 200;
    }
    world_.loop_.After(latency, [done = std::move(done), answer] { done(answer); });
  }

 private:
  World& world_;
};

struct World::EventManager {
  explicit EventManager(World& world) : store(world.planted_match_store_) {}

  HeldMatchStore store;
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<MatchEngine> engine;
  std::unique_ptr<ProgressTable> progress;
};

/// What one instance knows of the subscriptions: it learns of changes at a time of its own. Some of
/// what it sends may be its end.
struct World::FunctionManager : public Catalog, public Sender {
  explicit FunctionManager(World& world) : world(world), store(world.planted_invoke_store_) {}

  void Send(SendRequest request, std::function<void(Answer)> done) override {
    for (const auto& [name, value] : request.event->headers) {
      if (name == "ce_id" && value == "poison") return world.Poisoned(this);
    }
    world.endpoints_->Send(std::move(request), std::move(done));
  }

  Lookup Find(const Uuid& id, int64_t version, Duration) const override {
    auto it = known.find(id);
    if (it == known.end() || it->second->version < version) {
      bool deleted = world.options_.planted == Bug::kUnknownIsDeleted;
      return {deleted ? Known::kDeleted : Known::kNotYet, nullptr};
    }
    if (world.options_.planted != Bug::kOrderForgotten) return {Known::kPresent, it->second};
    auto unordered = std::make_shared<schema::Subscription>(*it->second);
    unordered->ordering = schema::Ordering::kNone;
    return {Known::kPresent, unordered};
  }
  std::optional<schema::Sink> SinkOf(const schema::Subscription& s) const override {
    return s.sink;
  }

  World& world;
  std::map<Uuid, std::shared_ptr<const schema::Subscription>> known;
  NoLog log;
  HeldInvokeStore store;
  std::unique_ptr<broker::Broker> broker;
  std::unique_ptr<Invoker> invoker;
};

World::World(Options options)
    : options_(options),
      random_(options.seed),
      outages_(options.seed),
      cluster_(loop_, options.seed),
      match_store_(loop_, [this] { return Between(milliseconds(0), milliseconds(5)); }),
      invoke_store_(loop_, [this] { return Between(milliseconds(0), milliseconds(5)); }),
      planted_match_store_(match_store_, options.planted),
      planted_invoke_store_(invoke_store_, options.planted),
      client_(cluster_.Connect("publisher")),
      endpoints_(std::make_unique<Endpoints>(*this)) {
  topic_ = {NewUuid(), "acme", "orders", 1, kEventPartitions};
  for (auto& spec : broker::InternalTopics(1, kInvocationsPartitions)) {
    client_->admin().CreateTopic(spec, [](Status) {});
  }
  client_->admin().CreateTopic({topic_.KafkaName(), kEventPartitions, 1, {}}, [](Status) {});
  loop_.RunFor(seconds(1));
  publisher_ = client_->NewProducer({});
  for (int i = 0; i < options_.event_managers; ++i) {
    event_managers_.push_back(nullptr);
    StartEventManager(i);
  }
  for (int i = 0; i < options_.function_managers; ++i) {
    function_managers_.push_back(nullptr);
    StartFunctionManager(i);
  }
}

World::~World() = default;

bool World::Chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

Uuid World::NewUuid() {
  Uuid id;
  for (auto& byte : id.bytes) byte = static_cast<uint8_t>(random_());
  return id;
}

Duration World::Between(Duration low, Duration high) {
  return Duration(std::uniform_int_distribution<int64_t>(low.count(), high.count())(random_));
}

void World::StartEventManager(int index) {
  auto manager = std::make_unique<EventManager>(*this);
  manager->broker = cluster_.Connect("event-manager-" + std::to_string(index));
  MatchEngine::Options options;
  options.invocations_partitions = kInvocationsPartitions;
  options.allowance.deliveries = options_.allowance;
  if (options_.small_grants) options.grants = {2, 8};
  manager->engine = std::make_unique<MatchEngine>(*manager->broker, loop_, manager->store, options);
  manager->engine->PutTopic(topic_);
  for (const auto& sub : subs_) manager->engine->PutSubscription(sub.subscription);
  manager->progress = std::make_unique<ProgressTable>(*manager->broker, loop_);
  manager->progress->OnChanged([engine = manager->engine.get(), table = manager->progress.get()](
                                   const Uuid& subscription, const ProgressTable::Sum& sum) {
    engine->SetSettled(subscription, sum.counters.settled(), sum.scheduled,
                       table->CircuitOf(subscription));
  });
  manager->progress->Start();
  event_managers_[index] = std::move(manager);
  AwaitProgress(index, event_managers_[index].get());
}

// The engine starts when it knows what was settled.
void World::AwaitProgress(int index, const EventManager* manager) {
  if (event_managers_[index].get() != manager) return;
  if (manager->progress->ready()) return manager->engine->Start();
  loop_.After(milliseconds(20), [this, index, manager] { AwaitProgress(index, manager); });
}

void World::Hang() {
  Sub& sub = subs_[random_() % subs_.size()];
  sub.hangs_until = loop_.Steady() + Between(seconds(1), seconds(20));
}

void World::StartFunctionManager(int index) {
  auto manager = std::make_unique<FunctionManager>(*this);
  for (const auto& sub : subs_) {
    manager->known[sub.subscription.uuid] =
        std::make_shared<const schema::Subscription>(sub.subscription);
  }
  manager->broker = cluster_.Connect("function-manager-" + std::to_string(index));
  Invoker::Options options;
  options.limits = {64, 1024 * 1024, 100'000};  // small, so that windows fill
  options.partitions = kInvocationsPartitions;
  options.wheel_bytes = 128;  // events of two bytes: not all that is due fits
  options.dispatcher.scheduler.circuit.longest_hold = seconds(5);
  manager->invoker = std::make_unique<Invoker>(
      *manager->broker, loop_, manager->store, *manager, *manager, manager->log,
      [this] { return std::uniform_real_distribution<double>(0, 1)(random_); },
      [](const schema::Subscription&, const std::string&) {}, options);
  manager->invoker->Start();
  function_managers_[index] = std::move(manager);
}

void World::CreateSubscription(int index) {
  // As the command does: boundaries are the end offsets, read before the answer.
  Sub sub;
  auto& s = sub.subscription;
  s.uuid = NewUuid();
  s.org = "acme";
  s.name = "s" + std::to_string(index);
  s.version = 1;
  s.topic = topic_.name;
  s.topic_uuid = topic_.uuid;
  if (index % 2 == 1) s.event_type = "even";
  s.sink = schema::Sink{std::to_string(subs_.size()), {}, schema::DeliveryMode::kBinary};
  s.retry.min_backoff = milliseconds(200);
  s.retry.max_backoff = seconds(20);
  s.retry.max_attempts = 1000;
  s.timeout = seconds(5);
  s.max_in_flight = 16;
  bool earliest = Chance(0.3);
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    auto log = cluster_.Log({topic_.KafkaName(), p});
    s.boundaries.push_back(earliest || log.empty() ? 0 : log.back().offset + 1);
  }
  // Ordered ones of every sort: blocking and failing, never failing, parking and failing.
  if (index == 0 || index == 1 || index == 3) s.ordering = schema::Ordering::kKey;
  if (index == 3) s.on_failure = schema::OnFailure::kPark;
  if (index == 2 && !options_.hangs) s.rate_limit = schema::RateLimit{20, seconds(1)};
  sub.fails_at_times = index % 3 == 0;
  sub.rejects = index == 5;
  subs_.push_back(sub);
  Tell(subs_.size() - 1);
}

// Tells every instance of a subscription's newest state, each at a time of its own.
void World::Tell(size_t index) {
  schema::Subscription s = subs_[index].subscription;
  for (size_t i = 0; i < event_managers_.size(); ++i) {
    loop_.After(Between(milliseconds(0), milliseconds(300)), [this, i, s] {
      if (event_managers_[i] == nullptr) return;
      // A restarted instance may know something newer already.
      for (const auto& sub : subs_) {
        if (sub.subscription.uuid == s.uuid && sub.subscription.version > s.version) return;
      }
      event_managers_[i]->engine->PutSubscription(s);
    });
  }
  for (size_t i = 0; i < function_managers_.size(); ++i) {
    loop_.After(Between(milliseconds(0), milliseconds(300)), [this, i, s] {
      auto* manager = function_managers_[i].get();
      if (manager == nullptr) return;
      auto& known = manager->known[s.uuid];
      if (known != nullptr && known->version > s.version) return;
      known = std::make_shared<const schema::Subscription>(s);
      manager->invoker->SubscriptionChanged(s.uuid);
    });
  }
}

void World::TogglePause() {
  size_t index = random_() % subs_.size();
  auto& s = subs_[index].subscription;
  if (!s.ends.empty()) return;
  s.paused = !s.paused;
  s.pause_boundaries.clear();
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    auto log = cluster_.Log({topic_.KafkaName(), p});
    s.pause_boundaries.push_back(log.empty() ? 0 : log.back().offset + 1);
  }
  ++s.version;
  Tell(index);
}

// As the command does: a new generation with new boundaries. Nothing of the one before has to come.
void World::Rewind() {
  size_t index = random_() % subs_.size();
  auto& s = subs_[index].subscription;
  if (!s.ends.empty()) return;
  ++s.generation;
  s.boundaries.clear();
  s.pause_boundaries.clear();
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    auto log = cluster_.Log({topic_.KafkaName(), p});
    int64_t end = log.empty() ? 0 : log.back().offset + 1;
    s.boundaries.push_back(std::uniform_int_distribution<int64_t>(0, end)(random_));
  }
  ++s.version;
  Tell(index);
}

// A redrive chooses out of the topic of dead letters, whether their owner has counted them already
// or not; now and then what it has chosen is left after all.
void World::Redrive() {
  if (Chance(0.2)) return invoke_store_.Release();
  Uuid redrive = NewUuid();
  for (auto& letter : DeadLetters()) {
    if (!Chance(0.5)) continue;
    invoke_store_.Choose({*letter.invocations_partition, letter.id, redrive, letter.org,
                          letter.topic, letter.source_timestamp_ms, *letter.sequence,
                          std::make_shared<const schema::EventData>(std::move(letter.event))});
  }
}

// As the command does: a subscription of its own that has an end in what is there now.
void World::Replay() {
  Sub sub = subs_[random_() % subs_.size()];
  auto& s = sub.subscription;
  if (!s.ends.empty()) return;
  s.uuid = NewUuid();
  s.name += "-replay" + std::to_string(subs_.size());
  s.version = s.generation = 1;
  s.sink->url = std::to_string(subs_.size());
  s.paused = false;
  s.boundaries.clear();
  s.pause_boundaries.clear();
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    auto log = cluster_.Log({topic_.KafkaName(), p});
    int64_t end = log.empty() ? 0 : log.back().offset + 1;
    int64_t from = std::uniform_int_distribution<int64_t>(0, end)(random_);
    s.boundaries.push_back(from);
    s.ends.push_back(std::uniform_int_distribution<int64_t>(from, end)(random_));
  }
  subs_.push_back(sub);
  Tell(subs_.size() - 1);
}

// Anything in the log may go, also what was never read.
void World::Truncate() {
  RememberEvents();
  auto partition = static_cast<int32_t>(random_() % kEventPartitions);
  broker::TopicPartition where{topic_.KafkaName(), partition};
  auto log = cluster_.Log(where);
  if (log.empty()) return;
  const auto& record = log[random_() % log.size()];
  cluster_.Truncate(where, record.offset);
  earliest_[partition] = record.offset;
}

void World::RememberEvents() {
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    for (const auto& record : cluster_.Log({topic_.KafkaName(), p})) {
      const auto* key = record.FindHeader("ce_partitionkey");
      events_[{p, record.offset}] = {*record.FindHeader("ce_type"), key == nullptr ? "" : *key,
                                     record.FindHeader("ce_deliverat") != nullptr};
    }
  }
}

void World::Publish() {
  int number = published_++;
  std::string type = number % 2 == 0 ? "even" : "odd";
  bool poison = options_.poison && number == options_.events / 2;
  broker::ProduceRecord record;
  record.topic = topic_.KafkaName();
  record.headers = {{"ce_specversion", "1.0"},
                    {"ce_id", poison ? "poison" : std::to_string(number)},
                    {"ce_source", "/simulation"},
                    {"ce_type", type}};
  if (Chance(0.5)) {
    record.key = "k" + std::to_string(number % 7);
    record.headers.emplace_back("ce_partitionkey", *record.key);
  }
  if (options_.delays && outages_() % 5 == 0) {
    auto wait = milliseconds(outages_() % 30'000);
    ++delayed_;
    record.headers.emplace_back("ce_deliverat", schema::FormatRfc3339(loop_.Now() + wait));
  }
  record.value = "{}";
  // What was written is in the log, also when its report was lost: the log is the truth.
  auto status = publisher_->Produce(record, [this](Result<broker::Position>) { ++answered_; });
  if (!status.ok()) ++answered_;
}

void World::Fault() {
  if (options_.endpoint_faults && !subs_.empty() && outages_() % 5 == 0) {
    // Long enough for its circuit to open.
    subs_[outages_() % subs_.size()].down_until = loop_.Steady() + seconds(1 + outages_() % 10);
  }
  double dice = std::uniform_real_distribution<double>(0, 1)(random_);
  auto restart = Between(milliseconds(10), seconds(12));
  if (dice < 0.35 && options_.crashes) {
    size_t i = random_() % event_managers_.size();
    if (event_managers_[i] == nullptr) return;
    ++crashes_;
    event_managers_[i].reset();
    loop_.After(restart, [this, i] {
      if (event_managers_[i] == nullptr) StartEventManager(static_cast<int>(i));
    });
  } else if (dice < 0.7 && options_.crashes) {
    size_t i = random_() % function_managers_.size();
    if (function_managers_[i] == nullptr) return;
    ++crashes_;
    function_managers_[i].reset();
    loop_.After(restart, [this, i] {
      if (function_managers_[i] == nullptr) StartFunctionManager(static_cast<int>(i));
    });
  } else if (dice < 0.8 && options_.store_faults) {
    bool match = Chance(0.5);
    bool mute = outages_() % 2 == 0;
    auto set = [this, match, mute](bool begin) {
      if (match) mute ? match_store_.set_mute(begin) : match_store_.set_down(begin);
      if (!match) mute ? invoke_store_.set_mute(begin) : invoke_store_.set_down(begin);
    };
    set(true);
    loop_.After(Between(milliseconds(50), seconds(8)), [set] { set(false); });
  } else if (dice < 0.9 && options_.broker_faults) {
    cluster_.set_down(true);
    loop_.After(Between(milliseconds(50), seconds(8)), [this] { cluster_.set_down(false); });
  } else if (options_.broker_faults) {
    cluster_.Rebalance(Chance(0.5) ? "dispatch.event-manager" : "dispatch.function-manager");
  }
}

// It owns its partitions no more when others have them, and does not know. Ends after Heal, too.
// Half of them may be cut off from their database as well, and what they ask arrives late.
void World::Isolate() {
  bool match = Chance(0.5);
  bool late = options_.late && Chance(0.5);
  size_t i = random_() % (match ? event_managers_.size() : function_managers_.size());
  auto name = (match ? "event-manager-" : "function-manager-") + std::to_string(i);
  auto cut = [this, match, late, i, name](bool begin) {
    cluster_.set_partitioned(name, begin);
    if (begin && !late) return;
    if (match && event_managers_[i] != nullptr) event_managers_[i]->store.hold().set_held(begin);
    if (!match && function_managers_[i] != nullptr) {
      function_managers_[i]->store.hold().set_held(begin);
    }
  };
  cut(true);
  loop_.After(Between(seconds(1), seconds(20)), [cut] { cut(false); });
}

void World::Poisoned(const FunctionManager* manager) {
  loop_.After(Duration::zero(), [this, manager] {
    for (size_t i = 0; i < function_managers_.size(); ++i) {
      if (function_managers_[i].get() != manager) continue;
      ++poisoned_;
      function_managers_[i].reset();
      loop_.After(Between(milliseconds(10), seconds(3)), [this, i] {
        if (function_managers_[i] == nullptr) StartFunctionManager(static_cast<int>(i));
      });
    }
  });
}

void World::Heal() {
  healed_ = true;
  cluster_.set_faults({});
  cluster_.set_down(false);
  match_store_.set_down(false);
  match_store_.set_mute(false);
  invoke_store_.set_down(false);
  invoke_store_.set_mute(false);
  for (size_t i = 0; i < event_managers_.size(); ++i) {
    if (event_managers_[i] == nullptr) StartEventManager(static_cast<int>(i));
  }
  for (size_t i = 0; i < function_managers_.size(); ++i) {
    if (function_managers_[i] == nullptr) StartFunctionManager(static_cast<int>(i));
  }
  for (size_t i = 0; i < subs_.size() && options_.resumes; ++i) {
    auto& s = subs_[i].subscription;
    if (!s.paused) continue;
    s.paused = false;
    ++s.version;
    Tell(i);
  }
}

void World::Run() {
  if (options_.broker_faults) {
    broker::MemoryCluster::Faults faults;
    faults.min_latency = milliseconds(1);
    faults.max_latency = milliseconds(10);
    faults.produce_fail = 0.005;
    faults.produce_lost_ack = 0.005;
    faults.offset_gap = 0.05;
    cluster_.set_faults(faults);
  }
  int created = 0;
  int every = std::max(1, options_.events / options_.subscriptions / 2);
  for (int i = 0; i < options_.events; ++i) {
    if (i % every == 0 && created < options_.subscriptions) CreateSubscription(created++);
    Publish();
    if (Chance(0.03)) Fault();
    if (options_.isolation && Chance(0.03)) Isolate();
    if (options_.rewinds && !subs_.empty() && Chance(0.03)) Rewind();
    if (options_.redrives && Chance(0.05)) Redrive();
    if (options_.hangs && !subs_.empty() && Chance(0.03)) Hang();
    if (options_.pauses && !subs_.empty() && Chance(0.05)) TogglePause();
    if (options_.replays && !subs_.empty() && subs_.size() < 16 && Chance(0.05)) Replay();
    if (options_.truncations && Chance(0.03)) Truncate();
    loop_.RunFor(Between(milliseconds(0), milliseconds(100)));
  }
  while (created < options_.subscriptions) CreateSubscription(created++);
  Heal();
  loop_.RunUntil([this] { return answered_ == published_; }, seconds(60));
  RememberEvents();
  loop_.RunUntil([this] { return Quiet(); }, std::chrono::minutes(10));
  loop_.RunFor(seconds(5));
}

bool World::Quiet() const {
  for (const auto& manager : event_managers_) {
    for (int32_t p = 0; p < kEventPartitions; ++p) {
      const auto* matcher = manager->engine->FindMatcher(topic_.uuid, p);
      if (matcher != nullptr && matcher->sessions() > 0) return false;
    }
  }
  for (int32_t p = 0; p < kEventPartitions; ++p) {
    auto log = cluster_.Log({topic_.KafkaName(), p});
    if (log.empty()) continue;
    auto position = match_store_.Position({topic_.uuid, p});
    if (!position || *position <= log.back().offset) return false;
  }
  for (const auto& sub : subs_) {
    auto counters = invoke_store_.Counters(sub.subscription.uuid);
    if (counters.received < match_store_.Matched(sub.subscription.uuid)) return false;
    if (counters.received != counters.settled()) return false;
  }
  if (invoke_store_.Rows() != 0 || invoke_store_.chosen() != 0) return false;
  for (const auto& sub : subs_) {
    const Uuid& id = sub.subscription.uuid;
    if (match_store_.Matched(id) + match_store_.Lost(id) < Expected(sub)) return false;
  }
  return true;
}

}  // namespace dispatch::simulation
