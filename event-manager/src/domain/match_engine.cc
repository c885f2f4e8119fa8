#include "event-manager/src/domain/match_engine.h"

#include <algorithm>

#include "common/log.h"
#include "common/metrics.h"

namespace dispatch {

using broker::CheckpointLoop;

namespace {

broker::ProducerOptions WriterOptions() {
  broker::ProducerOptions options;
  options.delivery_timeout = std::chrono::milliseconds(0);
  return options;
}

constexpr Duration kTurnsTick = std::chrono::milliseconds(10);

}  // namespace

MatchEngine::MatchEngine(broker::Broker& broker, Loop& loop, MatchStore& store, Options options)
    : broker_(broker),
      loop_(loop),
      store_(store),
      options_(std::move(options)),
      producer_(broker, loop, WriterOptions()),
      writer_(producer_, options_.invocations_partitions),
      allowance_(options_.allowance),
      pace_(options_.catch_up),
      rate_gauge_(metrics::GetGauge("dispatch_catch_up_rate_limit",
                                    "Records a second that lagging readers may take beside what "
                                    "is live; 0: no limit")),
      session_slots_(options_.max_sessions) {
  allowance_.OnChanged([this] { TendSoon(); });
}

MatchEngine::~MatchEngine() {
  allowance_.OnChanged({});
  loop_.Cancel(turns_timer_);
  matchers_.clear();
}

void MatchEngine::PutTopic(const schema::Topic& topic) {
  auto& entry = topics_[topic.KafkaName()];
  if (entry != nullptr && entry->topic.uuid != topic.uuid) RemoveTopic(entry->topic.uuid);
  auto& slot = topics_[topic.KafkaName()];
  if (slot == nullptr) slot = std::make_unique<TopicEntry>();
  slot->topic = topic;
  topic_names_[topic.uuid] = topic.KafkaName();
  if (auto it = orphans_.find(topic.uuid); it != orphans_.end()) {
    auto waiting = std::move(it->second);
    orphans_.erase(it);
    for (auto& subscription : waiting) PutSubscription(std::move(subscription));
  }
  Subscribe();
}

void MatchEngine::RemoveTopic(const Uuid& topic) {
  auto it = topic_names_.find(topic);
  if (it == topic_names_.end()) return;
  std::string name = it->second;
  topic_names_.erase(it);
  std::erase_if(matchers_, [&](const auto& item) { return item.second->id().topic == topic; });
  std::erase_if(subscriptions_, [&](const auto& item) {
    if (item.second.first != topic) return false;
    allowance_.Forget(item.first);
    return true;
  });
  topics_.erase(name);
  Subscribe();
}

void MatchEngine::PutSubscription(schema::Subscription subscription) {
  auto topic = topic_names_.find(subscription.topic_uuid);
  if (topic == topic_names_.end()) {
    auto& waiting = orphans_[subscription.topic_uuid];
    std::erase_if(waiting, [&](const auto& s) { return s.uuid == subscription.uuid; });
    waiting.push_back(std::move(subscription));
    return;
  }
  auto compiled = CompiledSubscription::Compile(std::move(subscription));
  if (!compiled.ok()) {
    // The owner checked it before it stored it: a newer version of the program wrote it.
    log::Error("subscription does not compile error=\"{}\"", compiled.error().message);
    return;
  }
  const auto& s = (*compiled)->subscription;
  subscriptions_[s.uuid] = {s.topic_uuid, topic->second};
  topics_[topic->second]->index.Put(*compiled);
  for (auto& [partition, matcher] : matchers_) {
    if (matcher->id().topic == s.topic_uuid) matcher->Reconcile(**compiled);
  }
}

void MatchEngine::RemoveSubscription(const Uuid& subscription) {
  for (auto& [topic, waiting] : orphans_) {
    std::erase_if(waiting, [&](const auto& s) { return s.uuid == subscription; });
  }
  auto it = subscriptions_.find(subscription);
  if (it == subscriptions_.end()) return;
  auto [topic, name] = it->second;
  subscriptions_.erase(it);
  if (auto entry = topics_.find(name); entry != topics_.end()) {
    entry->second->index.Remove(subscription);
  }
  for (auto& [partition, matcher] : matchers_) {
    if (matcher->id().topic == topic) matcher->Remove(subscription);
  }
  allowance_.Forget(subscription);
}

void MatchEngine::Start() {
  broker::GroupOptions options;
  options.group = options_.group;
  options.instance_id = options_.instance_id;
  options.client_id = "dispatch-event-manager";
  consumer_ = broker_.NewGroupConsumer(options, *this);
  claims_ = std::make_unique<broker::PartitionClaims>(
      loop_, *consumer_,
      broker::PartitionClaims::Options{options_.claim_retry, options_.membership_limit},
      [this](const auto& partitions, uint64_t generation) { Claim(partitions, generation); });
  CheckpointLoop::Host& host = *this;
  checkpoints_ =
      std::make_unique<CheckpointLoop>(loop_, *consumer_, host, options_.checkpoint_interval);
  Subscribe();
  checkpoints_->Start();
}

void MatchEngine::Subscribe() {
  if (consumer_ == nullptr || subscribe_posted_) return;
  subscribe_posted_ = true;
  loop_.After(std::chrono::milliseconds(20), [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    subscribe_posted_ = false;
    if (stopping_ || consumer_ == nullptr) return;
    std::vector<std::string> names;
    for (const auto& [name, entry] : topics_) names.push_back(name);
    consumer_->Subscribe(std::move(names));
  });
}

TopicEntry* MatchEngine::FindTopic(const std::string& kafka_name) {
  auto it = topics_.find(kafka_name);
  return it == topics_.end() ? nullptr : it->second.get();
}

bool MatchEngine::ready() const {
  return claims_ != nullptr && (claims_->assigned_once() || topics_.empty()) &&
         !claims_->claiming();
}

void MatchEngine::OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                             uint64_t generation) {
  claims_->Assigned(partitions, generation);
}

void MatchEngine::Claim(const std::vector<broker::TopicPartition>& partitions,
                        uint64_t generation) {
  std::vector<PartitionId> ids;
  std::vector<broker::TopicPartition> known;
  for (const auto& partition : partitions) {
    if (TopicEntry* entry = FindTopic(partition.topic)) {
      ids.push_back({entry->topic.uuid, partition.partition});
      known.push_back(partition);
    } else {
      // Deleted meanwhile: the rebalance must end all the same; its records are ignored.
      claims_->Start(partition, broker::kLatest, generation);
    }
  }
  if (ids.empty()) return;
  store_.Claim(ids, [this, alive = std::weak_ptr(alive_), known,
                     generation](Result<std::vector<PartitionState>> states) {
    if (alive.expired()) return;
    if (states.ok()) return ReadEnds(known, generation, std::move(*states));
    log::Warning("cannot claim partitions count={} error=\"{}\"", known.size(), states.message());
    claims_->Again(known, generation);
  });
}

void MatchEngine::ReadEnds(const std::vector<broker::TopicPartition>& partitions,
                           uint64_t generation, std::vector<PartitionState> states) {
  struct Pending {
    std::vector<PartitionState> states;
    size_t topics = 0;
    bool failed = false;
  };
  auto pending = std::make_shared<Pending>();
  pending->states = std::move(states);
  std::map<std::string, std::vector<size_t>> by_topic;
  for (size_t i = 0; i < partitions.size(); ++i) by_topic[partitions[i].topic].push_back(i);
  pending->topics = by_topic.size();
  for (const auto& [topic, indexes] : by_topic) {
    broker_.admin().ListOffsets(
        topic, [this, alive = std::weak_ptr(alive_), pending, partitions, generation,
                indexes](Result<std::vector<broker::Offsets>> offsets) {
          if (alive.expired()) return;
          for (size_t i : indexes) {
            auto partition = static_cast<size_t>(partitions[i].partition);
            if (!offsets.ok() || partition >= offsets->size()) {
              pending->failed = true;
            } else {
              pending->states[i].end = (*offsets)[partition].latest;
            }
          }
          if (--pending->topics > 0) return;
          if (!pending->failed) return Claimed(partitions, generation, std::move(pending->states));
          claims_->Again(partitions, generation);
        });
  }
}

void MatchEngine::Claimed(const std::vector<broker::TopicPartition>& partitions,
                          uint64_t generation, std::vector<PartitionState> states) {
  for (size_t i = 0; i < partitions.size(); ++i) {
    if (!claims_->Wants(partitions[i], generation)) continue;
    TopicEntry* entry = FindTopic(partitions[i].topic);
    if (entry == nullptr || entry->topic.uuid != states[i].id.topic) {
      claims_->Start(partitions[i], broker::kLatest, generation);
      continue;
    }
    int64_t epoch = states[i].epoch;
    PartitionMatcher::Engine& engine = *this;
    auto matcher = std::make_unique<PartitionMatcher>(engine, *entry, std::move(states[i]));
    // Never owned: from 0, so that what retention took before is counted.
    int64_t start = matcher->position();
    log::Info("partition assigned topic={} partition={} epoch={} offset={}", partitions[i].topic,
              partitions[i].partition, epoch, start);
    matchers_[partitions[i]] = std::move(matcher);
    claims_->Start(partitions[i], start, generation);
  }
}

void MatchEngine::OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                            std::function<void()> release) {
  claims_->Dropped(partitions);
  ForgetDoubtful(partitions);
  for (const auto& partition : partitions) {
    auto it = matchers_.find(partition);
    if (it != matchers_.end()) it->second->StopReading();
  }
  // The last state is saved; what is under way is written again by the next owner, and dropped by
  // function-manager as a repeat.
  std::vector<std::pair<broker::TopicPartition, int64_t>> leaving;
  for (const auto& partition : partitions) {
    auto it = matchers_.find(partition);
    if (it != matchers_.end()) leaving.emplace_back(partition, it->second->epoch());
  }
  checkpoints_->Save([this, leaving = std::move(leaving), release = std::move(release)] {
    for (const auto& [partition, epoch] : leaving) {
      auto it = matchers_.find(partition);
      // The group may not have waited for us, and have given it to us again meanwhile.
      if (it == matchers_.end() || it->second->epoch() != epoch) continue;
      matchers_.erase(it);
      log::Info("partition released topic={} partition={}", partition.topic, partition.partition);
    }
    release();
  });
}

void MatchEngine::OnLost(const std::vector<broker::TopicPartition>& partitions) {
  claims_->Dropped(partitions);
  ForgetDoubtful(partitions);
  for (const auto& partition : partitions) {
    matchers_.erase(partition);
    log::Warning("partition lost topic={} partition={}", partition.topic, partition.partition);
  }
}

void MatchEngine::OnRecords(std::vector<broker::Record> records) {
  if (confirmed() && doubtful_.empty()) return Match(records);
  // We may have been replaced without knowing, as after a long sleep: an owner that is none must
  // not write. The partitions are lost soon, or the group confirms us and Tick goes on.
  for (auto& record : records) doubtful_.push_back(std::move(record));
}

// They come again to the next owner, which may be us; those of the others never do.
void MatchEngine::ForgetDoubtful(const std::vector<broker::TopicPartition>& partitions) {
  std::erase_if(doubtful_, [&](const broker::Record& record) {
    return std::any_of(partitions.begin(), partitions.end(), [&](const auto& partition) {
      return record.topic == partition.topic && record.partition == partition.partition;
    });
  });
}

void MatchEngine::Match(const std::vector<broker::Record>& records) {
  static const auto events_read = metrics::GetCounter(
      "dispatch_event_records_read_total", "Records that the shared read took from event topics");
  static const auto bytes_read = metrics::GetCounter(
      "dispatch_event_bytes_read_total", "Bytes that the shared read took from event topics");
  events_read.Add(static_cast<double>(records.size()));
  double bytes = 0;
  SteadyTime steady = loop_.Steady();
  int64_t now_ms = ToMillis(loop_.Now());
  PartitionMatcher* matcher = nullptr;
  broker::TopicPartition current;
  for (const auto& record : records) {
    if (matcher == nullptr || record.partition != current.partition ||
        record.topic != current.topic) {
      current = {record.topic, record.partition};
      auto it = matchers_.find(current);
      matcher = it == matchers_.end() ? nullptr : it->second.get();
    }
    if (record.value) bytes += static_cast<double>(record.value->size());
    pace_.Live(steady, now_ms - record.timestamp_ms);
    if (matcher != nullptr) matcher->OnRecord(record);
  }
  bytes_read.Add(bytes);
}

void MatchEngine::OnPartitionError(const broker::TopicPartition& partition, const Error& error) {
  auto it = matchers_.find(partition);
  if (it == matchers_.end() || error.code != Code::kOutOfRange) {
    log::Warning("cannot read topic={} partition={} error=\"{}\"", partition.topic,
                 partition.partition, error.message);
    return;
  }
  broker_.admin().ListOffsets(
      partition.topic, [this, alive = std::weak_ptr(alive_), partition,
                        error](Result<std::vector<broker::Offsets>> offsets) {
        if (alive.expired()) return;
        auto it = matchers_.find(partition);
        if (it == matchers_.end()) return;
        auto again = [this, alive, partition, error](Duration delay) {
          loop_.After(delay, [this, alive, partition, error] {
            if (!alive.expired()) OnPartitionError(partition, error);
          });
        };
        if (!offsets.ok() || static_cast<size_t>(partition.partition) >= offsets->size()) {
          return again(std::chrono::seconds(1));
        }
        int64_t earliest = (*offsets)[partition.partition].earliest;
        if (!it->second->OnLost(earliest)) return again(std::chrono::milliseconds(500));
        consumer_->Seek(partition, earliest);
      });
}

bool MatchEngine::TakeSessionSlot() {
  if (session_slots_ == 0) {
    slots_wanted_ = true;
    return false;
  }
  --session_slots_;
  return true;
}

void MatchEngine::ReturnSessionSlot() { ++session_slots_; }

void MatchEngine::SetPaused(const broker::TopicPartition& partition, bool paused) {
  if (consumer_ == nullptr || !matchers_.contains(partition)) return;
  if (paused) {
    consumer_->Pause(partition);
  } else {
    consumer_->Resume(partition);
  }
}

void MatchEngine::Tend() {
  if (!doubtful_.empty() && confirmed()) Match(std::exchange(doubtful_, {}));
  allowance_.Tick(loop_.Now());
  TendAll();
  ReadOthers();
}

bool MatchEngine::TakeTurn(std::function<void()> again) {
  if (pace_.open(loop_.Steady())) {
    pace_.Take();
    return true;
  }
  pace_.Refuse();
  turns_.push_back(std::move(again));
  if (turns_timer_ == kNoTimer) turns_timer_ = loop_.After(kTurnsTick, [this] { GiveTurns(); });
  return false;
}

// In the order in which they asked: who is refused once more is the last.
void MatchEngine::GiveTurns() {
  turns_timer_ = kNoTimer;
  for (size_t n = turns_.size(); n > 0 && pace_.open(loop_.Steady()); --n) {
    auto again = std::move(turns_.front());
    turns_.pop_front();
    again();
  }
  if (!turns_.empty() && turns_timer_ == kNoTimer) {
    turns_timer_ = loop_.After(kTurnsTick, [this] { GiveTurns(); });
  }
  rate_gauge_.Set(pace_.rate().value_or(0));
}

// Who got allowance goes on at once, and not with the next tick: at full speed the allowance is
// used up several times a second.
void MatchEngine::TendSoon() {
  if (tend_posted_) return;
  tend_posted_ = true;
  loop_.Post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    tend_posted_ = false;
    TendAll();
  });
}

void MatchEngine::TendAll() {
  bool wanted = slots_wanted_;
  for (auto& [partition, matcher] : matchers_) matcher->Tend();
  if (wanted && session_slots_ > 0) slots_wanted_ = false;
}

// What was matched in partitions that other instances own counts against the allowance too.
void MatchEngine::ReadOthers() {
  if (loop_.Steady() - others_at_ < options_.others_interval) return;
  std::vector<Uuid> shared;
  for (const auto& [name, entry] : topics_) {
    for (int32_t p = 0; p < entry->topic.partitions && entry->index.size() > 0; ++p) {
      if (matchers_.contains({name, p})) continue;
      shared.push_back(entry->topic.uuid);
      break;
    }
  }
  others_at_ = loop_.Steady();
  if (shared.empty()) return allowance_.SetOthers({});
  store_.ReadMatched(std::move(shared), [this, alive = std::weak_ptr(alive_)](
                                            Result<std::vector<PartitionMatched>> all) {
    if (!alive.expired() && all.ok()) SetOthers(*all);
  });
}

void MatchEngine::SetOthers(const std::vector<PartitionMatched>& all) {
  std::unordered_map<Uuid, int64_t> matched;
  for (const auto& partition : all) {
    auto name = topic_names_.find(partition.id.topic);
    if (name == topic_names_.end()) continue;
    if (matchers_.contains({name->second, partition.id.partition})) continue;
    for (const auto& counter : partition.counters) matched[counter.subscription] += counter.matched;
  }
  allowance_.SetOthers(matched);
}

std::vector<CheckpointLoop::Part> MatchEngine::Save(CheckpointLoop::Answered answered) {
  std::vector<PartitionSave> saves;
  std::vector<CheckpointLoop::Part> parts;
  std::map<PartitionId, broker::TopicPartition> names;
  for (auto& [partition, matcher] : matchers_) {
    if (!matcher->dirty()) continue;
    saves.push_back(matcher->Snapshot());
    parts.push_back({partition, saves.back().epoch, saves.back().position});
    names.emplace(saves.back().id, partition);
  }
  if (saves.empty()) return parts;
  store_.Save(std::move(saves), [names = std::move(names), answered = std::move(answered)](
                                    const Result<std::vector<PartitionId>>& fenced) {
    if (!fenced.ok()) return answered(fenced.error());
    std::vector<broker::TopicPartition> taken;
    for (const auto& id : *fenced) taken.push_back(names.at(id));
    answered(std::move(taken));
  });
  return parts;
}

bool MatchEngine::Saved(const CheckpointLoop::Part& part, CheckpointLoop::Outcome outcome) {
  auto it = matchers_.find(part.partition);
  if (it == matchers_.end() || it->second->epoch() != part.epoch) return false;
  switch (outcome) {
    case CheckpointLoop::Outcome::kSaved:
      it->second->Saved();
      break;
    case CheckpointLoop::Outcome::kFailed:
      it->second->MarkDirty();
      break;
    case CheckpointLoop::Outcome::kFenced:
      matchers_.erase(it);
      ForgetDoubtful({part.partition});
      claims_->ShutOut(part.partition);
      break;
  }
  return true;
}

void MatchEngine::Stop(std::function<void()> stopped) {
  stopping_ = true;
  if (consumer_ == nullptr) return stopped();
  consumer_->Close([this, alive = std::weak_ptr(alive_), stopped = std::move(stopped)] {
    if (alive.expired()) return;
    checkpoints_->Stop();
    stopped();
  });
}

const PartitionMatcher* MatchEngine::FindMatcher(const Uuid& topic, int32_t partition) const {
  auto name = topic_names_.find(topic);
  if (name == topic_names_.end()) return nullptr;
  auto it = matchers_.find({name->second, partition});
  return it == matchers_.end() ? nullptr : it->second.get();
}

}  // namespace dispatch
