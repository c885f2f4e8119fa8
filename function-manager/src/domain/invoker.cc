#include "function-manager/src/domain/invoker.h"

#include <algorithm>
#include <limits>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch {

using broker::CheckpointLoop;

namespace {

broker::TopicPartition InvocationsOf(int32_t partition) {
  return {broker::kInvocationsTopic, partition};
}

// At 0 from the start, so that the first one is an increase.
const metrics::Counter kUnparsable = metrics::GetCounter(
    "dispatch_invocations_unparsable_total", "Records of dispatch.invocations that are no message");
const metrics::Counter kLost = metrics::GetCounter(
    "dispatch_invocations_lost_total",
    "Times that the retention of dispatch.invocations passed an unread position");

// Of a subscription in a partition, since it was last told.
constexpr int64_t kManySettled = 64;
constexpr Duration kBusyFor = std::chrono::seconds(1);

bool ManySettled(InvocationPartition& books) {
  return std::any_of(books.accounts().begin(), books.accounts().end(),
                     [](const auto& item) { return item.second.untold() >= kManySettled; });
}

}  // namespace

Invoker::Invoker(broker::Broker& broker, Loop& loop, InvokeStore& store, const Catalog& catalog,
                 Sender& sender, AttemptLog& attempts, std::function<double()> random,
                 Disable disable, Options options)
    : broker_(broker),
      loop_(loop),
      store_(store),
      catalog_(catalog),
      disable_(std::move(disable)),
      options_(std::move(options)),
      producer_(broker.NewProducer({.shared = true})) {
  Dispatcher::Host& host = *this;
  dispatcher_ = std::make_unique<Dispatcher>(loop, host, *producer_, catalog, sender, attempts,
                                             std::move(random), options_.dispatcher);
}

Invoker::~Invoker() {
  loop_.Cancel(wheel_timer_);
  loop_.Cancel(progress_timer_);
  loop_.Cancel(busy_timer_);
  loop_.Cancel(redrive_timer_);
}

void Invoker::Start() {
  broker::GroupOptions group;
  group.group = options_.group;
  group.instance_id = options_.instance_id;
  group.client_id = "dispatch-function-manager";
  consumer_ = broker_.NewGroupConsumer(group, *this);
  consumer_->Subscribe({broker::kInvocationsTopic});
  claims_ = std::make_unique<broker::PartitionClaims>(
      loop_, *consumer_,
      broker::PartitionClaims::Options{options_.claim_retry, options_.dispatcher.membership_limit},
      [this](const auto& partitions, uint64_t generation) { Claim(partitions, generation); });
  CheckpointLoop::Host& host = *this;
  checkpoints_ =
      std::make_unique<CheckpointLoop>(loop_, *consumer_, host, options_.checkpoint_interval);
  checkpoints_->Start();
  WheelTick();
  RedriveTick();
  ProgressTick();
}

void Invoker::SubscriptionChanged(const Uuid& subscription) {
  dispatcher_->SubscriptionChanged(subscription);
  for (auto& [partition, owned] : owned_) NoteStale(owned, subscription);
}

const InvocationPartition* Invoker::FindPartition(int32_t partition) const {
  auto it = owned_.find(partition);
  return it == owned_.end() ? nullptr : it->second.books.get();
}

bool Invoker::revoking(int32_t partition) const {
  auto it = owned_.find(partition);
  return it == owned_.end() || it->second.revoking;
}

void Invoker::CircuitChanged(const Uuid& subscription) {
  for (auto& [partition, owned] : owned_) {
    auto account = owned.books->accounts().find(subscription);
    if (account != owned.books->accounts().end()) account->second.changed = true;
  }
}

void Invoker::OpenTrials(int32_t unclean_starts) {
  if (unclean_starts == 0) return;
  Duration budget = options_.trial_budget * (int64_t{1} << std::min(unclean_starts - 1, 10));
  dispatcher_->OpenTrials(std::min(budget, options_.longest_trial_budget));
}

void Invoker::NoteTrial(const DeliveryPtr& begin, std::vector<TrialRun::Noted> survived,
                        std::function<void(Status)> done) {
  std::optional<InvokeStore::TrialNote> note;
  if (begin != nullptr) {
    auto books = begin->partition.lock();
    if (books == nullptr) return done({Code::kConflict, "the partition is not ours any more"});
    note = {books->partition(), books->epoch(), {begin->id, books->CrashesOf(begin->id) + 1}};
  }
  for (const auto& [partition, id] : survived) {
    auto it = owned_.find(partition);
    if (it != owned_.end()) it->second.books->Survived(id);
  }
  store_.NoteTrial(std::move(note), std::move(survived), std::move(done));
}

void Invoker::ShareChanged() {
  auto all = static_cast<double>(std::max(1, options_.partitions));
  dispatcher_->SetShare(std::min(1.0, static_cast<double>(owned_.size()) / all));
}

// ---- assignment ----

void Invoker::OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                         uint64_t generation) {
  claims_->Assigned(partitions, generation);
}

void Invoker::Claim(const std::vector<broker::TopicPartition>& partitions, uint64_t generation) {
  std::vector<int32_t> ids;
  for (const auto& partition : partitions) ids.push_back(partition.partition);
  store_.Claim(std::move(ids), [this, alive = std::weak_ptr(alive_), partitions,
                                generation](Result<std::vector<InvokeClaim>> claims) {
    if (alive.expired()) return;
    if (!claims.ok()) {
      log::Warning("cannot claim partitions count={} error=\"{}\"", partitions.size(),
                   claims.message());
      return claims_->Again(partitions, generation);
    }
    for (auto& claim : *claims) Claimed(std::move(claim), generation);
    ShareChanged();
  });
}

void Invoker::Claimed(InvokeClaim claim, uint64_t generation) {
  auto partition = InvocationsOf(claim.partition);
  if (!claims_->Wants(partition, generation)) return;
  int64_t start = claim.position.value_or(broker::kEarliest);
  log::Info("partition assigned topic={} partition={} epoch={} offset={}", partition.topic,
            partition.partition, claim.epoch, start);
  // Nobody had it since we lost it, and we are here.
  auto before = lost_.find(claim.partition);
  if (before != lost_.end() && before->second == claim.epoch - 1) claim.unclean_starts = 0;
  Owned& owned = owned_[partition.partition];
  owned = Owned{};
  owned.since = loop_.Steady();
  owned.calm = claim.unclean_starts == 0;
  OpenTrials(claim.unclean_starts);
  owned.books = std::make_shared<InvocationPartition>(std::move(claim), options_.limits,
                                                      ToMillis(loop_.Now()));
  for (const auto& [subscription, account] : owned.books->accounts()) {
    NoteStale(owned, subscription);
  }
  claims_->Start(partition, start, generation);
}

void Invoker::OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                        std::function<void()> release) {
  claims_->Dropped(partitions);
  std::vector<int32_t> ids;
  for (const auto& partition : partitions) {
    auto it = owned_.find(partition.partition);
    if (it == owned_.end()) continue;
    it->second.revoking = true;
    ids.push_back(partition.partition);
  }
  Release(std::move(ids), loop_.Steady() + options_.revoke_wait, std::move(release));
}

void Invoker::Release(std::vector<int32_t> partitions, SteadyTime deadline,
                      std::function<void()> release) {
  // Attempts under way get a moment to end; what does not is moved aside, to be found by the next
  // owner if we do not live to see its answer.
  std::erase_if(partitions, [this](int32_t partition) { return !owned_.contains(partition); });
  bool waiting = std::any_of(partitions.begin(), partitions.end(), [this](int32_t partition) {
    return dispatcher_->in_flight(*owned_[partition].books) > 0;
  });
  if (waiting && loop_.Steady() < deadline) {
    loop_.After(std::chrono::milliseconds(10), [this, alive = std::weak_ptr(alive_), partitions,
                                                deadline, release = std::move(release)]() mutable {
      if (!alive.expired()) Release(partitions, deadline, std::move(release));
    });
    return;
  }
  std::vector<std::pair<int32_t, int64_t>> leaving;
  for (int32_t partition : partitions) {
    dispatcher_->SidelineAll(*owned_[partition].books);
    owned_[partition].books->MarkDirty();
    owned_[partition].leaving = true;
    leaving.emplace_back(partition, owned_[partition].books->epoch());
  }
  checkpoints_->Save([this, leaving = std::move(leaving), release = std::move(release)] {
    for (auto [partition, epoch] : leaving) {
      auto it = owned_.find(partition);
      // The group may not have waited for us, and have given it to us again meanwhile.
      if (it == owned_.end() || it->second.books->epoch() != epoch) continue;
      PublishProgress(it->second, 0);
      owned_.erase(it);
      log::Info("partition released topic={} partition={}", broker::kInvocationsTopic, partition);
    }
    release();
  });
}

void Invoker::OnLost(const std::vector<broker::TopicPartition>& partitions) {
  claims_->Dropped(partitions);
  std::vector<int32_t> ids;
  for (const auto& partition : partitions) ids.push_back(partition.partition);
  Lose(ids);
  for (const auto& partition : partitions) {
    log::Warning("partition lost topic={} partition={}", partition.topic, partition.partition);
  }
}

void Invoker::Lose(const std::vector<int32_t>& partitions) {
  std::vector<InvokeStore::Epoch> lost;
  for (int32_t partition : partitions) {
    auto it = owned_.find(partition);
    if (it == owned_.end()) continue;
    lost.push_back({partition, it->second.books->epoch()});
    lost_[partition] = it->second.books->epoch();
    owned_.erase(it);
  }
  // If it is not noted, it is one unclean start more.
  if (!lost.empty()) store_.Lived(std::move(lost), [](const Status&) {});
}

// ---- records ----

void Invoker::OnRecords(std::vector<broker::Record> records) {
  int64_t now_ms = ToMillis(loop_.Now());
  for (const auto& record : records) {
    auto it = owned_.find(record.partition);
    if (it == owned_.end() || it->second.revoking) continue;
    auto books = it->second.books;
    auto invocation = record.value ? schema::Decode<schema::Invocation>(*record.value)
                                   : Result<schema::Invocation>(Code::kInvalidArgument, "no value");
    if (!invocation.ok()) {
      BadRecord(record, invocation.error());
      books->Skip(record);
      continue;
    }
    for (auto& delivery : books->TakeIn(record, std::move(*invocation), now_ms)) {
      dispatcher_->Take(std::move(delivery));
    }
  }
  for (auto& [partition, owned] : owned_) Pace(owned);
}

void Invoker::BadRecord(const broker::Record& record, const Error& error) {
  // Only event-manager writes here. What it did not write has no subscriber that misses it.
  kUnparsable.Add();
  log::Error("record is no invocation partition={} offset={} error=\"{}\"", record.partition,
             record.offset, error.message);
}

void Invoker::OnPartitionError(const broker::TopicPartition& partition, const Error& error) {
  log::Error("cannot read topic={} partition={} error=\"{}\"", partition.topic, partition.partition,
             error.message);
  if (error.code != Code::kOutOfRange) return;
  kLost.Add();
  auto it = owned_.find(partition.partition);
  if (it != owned_.end()) it->second.books->PositionLost();
  consumer_->Seek(partition, broker::kEarliest);
}

void Invoker::Pace(Owned& owned) {
  const auto& tracker = owned.books->tracker();
  bool pause = owned.paused ? !tracker.half_empty() : tracker.full();
  if (pause == owned.paused) return;
  owned.paused = pause;
  if (pause) {
    consumer_->Pause(InvocationsOf(owned.books->partition()));
  } else {
    consumer_->Resume(InvocationsOf(owned.books->partition()));
  }
}

// ---- checkpoints ----

void Invoker::Tend() {
  for (auto& [partition, owned] : owned_) {
    if (!owned.revoking) dispatcher_->Tend(*owned.books);
    LoadKeys(partition);
    Pace(owned);
  }
}

std::vector<CheckpointLoop::Part> Invoker::Save(CheckpointLoop::Answered answered) {
  std::vector<InvokeSave> saves;
  std::vector<CheckpointLoop::Part> parts;
  for (auto& [partition, owned] : owned_) {
    if (!owned.books->dirty()) continue;
    saves.push_back(owned.books->Snapshot());
    saves.back().clean = owned.leaving;
    if (!owned.calm && loop_.Steady() - owned.since >= options_.calm_after) {
      saves.back().calm = owned.calm = true;
    }
    parts.push_back({InvocationsOf(partition), saves.back().epoch, saves.back().position});
  }
  if (saves.empty()) return parts;
  store_.Save(std::move(saves), [this, alive = std::weak_ptr(alive_),
                                 answered =
                                     std::move(answered)](Result<InvokeStore::SaveResult> result) {
    if (alive.expired()) return;
    save_result_ = result.ok() ? std::move(*result) : InvokeStore::SaveResult{};
    if (!result.ok()) return answered(result.error());
    if (!save_result_.gone.empty()) {
      return answered(Error{Code::kConflict, "a redrive was cancelled; saved again without it"});
    }
    std::vector<broker::TopicPartition> fenced;
    for (int32_t partition : save_result_.fenced) fenced.push_back(InvocationsOf(partition));
    answered(std::move(fenced));
  });
  return parts;
}

bool Invoker::Saved(const CheckpointLoop::Part& part, CheckpointLoop::Outcome outcome) {
  int32_t partition = part.partition.partition;
  auto it = owned_.find(partition);
  if (it == owned_.end() || it->second.books->epoch() != part.epoch) return false;
  Owned& owned = it->second;
  switch (outcome) {
    case CheckpointLoop::Outcome::kSaved: {
      for (const auto& [merged_in, id] : save_result_.merged) {
        if (merged_in == partition) owned.books->Merged(id);
      }
      auto earliest = owned.books->Saved();
      if (!earliest) break;
      owned.loaded_until_ms = std::min(owned.loaded_until_ms, *earliest);
      owned.pulled_back = owned.loading;
      break;
    }
    case CheckpointLoop::Outcome::kFailed:
      owned.books->SaveFailed();
      for (const auto& [gone_in, id] : save_result_.gone) {
        if (gone_in == partition) owned.books->ReturnFailed(id);
      }
      break;
    case CheckpointLoop::Outcome::kFenced:
      Lose({partition});
      claims_->ShutOut(part.partition);
      break;
  }
  return true;
}

// ---- the wheel over the retry store ----

void Invoker::WheelTick() {
  wheel_timer_ = loop_.AfterAbout(options_.wheel_interval, [this] { WheelTick(); });
  for (auto& [partition, owned] : owned_) {
    if (owned.loading || owned.revoking || owned.books->rows() == 0) continue;
    owned.stale_turn = !owned.stale_turn && !owned.stale.empty() && owned.books->reread();
    owned.stale_turn ? LoadStale(partition) : LoadDue(partition);
  }
}

void Invoker::LoadDue(int32_t partition) {
  Owned& owned = owned_[partition];
  int64_t until = ToMillis(loop_.Now()) + options_.wheel_horizon.count();
  size_t loaded = owned.books->rows_in_memory();
  if (owned.loaded_until_ms >= until || loaded >= options_.wheel_limit) return;
  InvokeStore::Room room{options_.wheel_limit - loaded, RoomFor(*owned.books, 1)};
  if (room.bytes == 0) return;
  owned.loading = true;
  owned.books->BeginLoad();
  store_.LoadDue(partition, owned.loaded_until_ms, until, room,
                 [this, alive = std::weak_ptr(alive_), books = std::weak_ptr(owned.books),
                  partition, until](Result<InvokeStore::Due> due) {
                   if (alive.expired()) return;
                   auto it = owned_.find(partition);
                   if (it == owned_.end() || it->second.books != books.lock()) return;
                   it->second.loading = false;
                   if (!due.ok()) return;
                   // Rows that share the last due time may be left: start there again.
                   int64_t reached = due->all ? until : due->rows.back().due_ms;
                   // A row that left memory while we read pulls the start back.
                   if (!it->second.pulled_back) it->second.loaded_until_ms = reached;
                   it->second.pulled_back = false;
                   int64_t now_ms = ToMillis(loop_.Now());
                   for (auto& row : due->rows) {
                     std::chrono::milliseconds wait(std::max<int64_t>(0, row.due_ms - now_ms));
                     if (auto delivery = it->second.books->TakeRow(std::move(row))) {
                       dispatcher_->TakeRow(std::move(delivery), wait);
                     }
                   }
                 });
}

// ---- rows of subscriptions that are gone, or were rewound ----

void Invoker::NoteStale(Owned& owned, const Uuid& subscription) {
  auto account = owned.books->accounts().find(subscription);
  if (account == owned.books->accounts().end() || account->second.rows.rows() == 0) return;
  auto found = catalog_.Find(subscription, 0, options_.mark_ttl);
  bool present = found.known == Catalog::Known::kPresent;
  bool stale =
      present ? found.subscription->generation > 1 : found.known == Catalog::Known::kDeleted;
  if (stale) owned.stale.insert(subscription);
}

// They would be cancelled when they are due, and may be due in a month.
void Invoker::LoadStale(int32_t partition) {
  Owned& owned = owned_[partition];
  Uuid subscription = *owned.stale.begin();
  auto found = catalog_.Find(subscription, 0, options_.mark_ttl);
  bool present = found.known == Catalog::Known::kPresent;
  int32_t generation =
      present ? found.subscription->generation : std::numeric_limits<int32_t>::max();
  owned.loading = true;
  owned.books->BeginLoad();
  store_.LoadStale(partition, subscription, generation, options_.wheel_limit,
                   [this, alive = std::weak_ptr(alive_), books = std::weak_ptr(owned.books),
                    partition, subscription](Result<std::vector<RetryRow>> rows) {
                     if (alive.expired()) return;
                     auto it = owned_.find(partition);
                     if (it == owned_.end() || it->second.books != books.lock()) return;
                     it->second.loading = it->second.pulled_back = false;
                     if (!rows.ok()) return;
                     if (rows->empty()) it->second.stale.erase(subscription);
                     for (auto& row : *rows) {
                       auto delivery = it->second.books->TakeRow(std::move(row));
                       if (delivery != nullptr) dispatcher_->Take(std::move(delivery));
                     }
                   });
}

// ---- keys whose next delivery is in the retry store ----

void Invoker::LoadKeys(int32_t partition) {
  Owned& owned = owned_[partition];
  // What was taken in before the claim, and is no row, comes from the log, and may be first.
  if (owned.loading || owned.revoking || !owned.books->reread()) return;
  size_t loaded = owned.books->rows_in_memory();
  size_t most = 2 * options_.wheel_limit;  // of its own: the wheel does not stop it
  if (loaded >= most) return;
  std::vector<InvokeStore::KeyFrom> keys;
  for (auto& [key, sequence] : owned.books->order().Wanting(most - loaded)) {
    keys.push_back({key.subscription, std::move(key.key), sequence});
  }
  size_t bytes = RoomFor(*owned.books, 2);
  if (keys.empty() || bytes == 0) return;
  owned.loading = true;
  owned.books->BeginLoad();
  size_t each = std::clamp<size_t>((most - loaded) / keys.size(), 1, 200);
  store_.LoadKeys(partition, keys, each, bytes,
                  [this, alive = std::weak_ptr(alive_), books = std::weak_ptr(owned.books),
                   partition, keys](Result<InvokeStore::OfKeys> of_keys) {
                    if (alive.expired()) return;
                    auto it = owned_.find(partition);
                    if (it == owned_.end() || it->second.books != books.lock()) return;
                    it->second.loading = it->second.pulled_back = false;
                    if (of_keys.ok()) KeysLoaded(*it->second.books, keys, std::move(*of_keys));
                  });
}

// Bytes of events that may be loaded yet; the wheel has one share, what is behind it another.
size_t Invoker::RoomFor(const InvocationPartition& books, size_t share) const {
  size_t most = share * options_.wheel_bytes / std::max<size_t>(1, owned_.size());
  return most > books.row_bytes() ? most - books.row_bytes() : 0;
}

void Invoker::KeysLoaded(InvocationPartition& books, const std::vector<InvokeStore::KeyFrom>& keys,
                         InvokeStore::OfKeys of_keys) {
  KeyOrder& order = books.order();
  auto& rows = of_keys.rows;
  auto row = rows.begin();
  for (size_t i = 0; i < of_keys.keys; ++i) {
    const auto& from = keys[i];
    KeyOrder::Key key{from.subscription, from.key};
    bool none = true;
    bool stopped = false;
    for (; row != rows.end() && row->id.subscription == key.subscription && row->key == key.key;
         ++row) {
      none = false;
      if (stopped || books.active(row->id)) continue;
      // It changed meanwhile: what is behind it waits for the next time.
      auto delivery = books.TakeRow(std::move(*row));
      stopped = delivery == nullptr;
      if (stopped) continue;
      delivery->state = Delivery::State::kFollowing;
      order.Loaded(delivery);
    }
    // Counted twice: two copies of a delivery became one row.
    if (none && !books.unsettled(key.subscription, key.key)) order.NoRows(key);
    dispatcher_->Advance(books, key);
  }
}

// ---- dead letters that redrives chose ----

void Invoker::NudgeRedrives() {
  redrives_nudged_ = true;
  if (redrives_asked_ || redrive_timer_ == kNoTimer) return;
  loop_.Cancel(redrive_timer_);
  RedriveTick();
}

void Invoker::RedriveTick() {
  std::vector<int32_t> partitions;
  std::vector<std::weak_ptr<InvocationPartition>> asked;
  for (auto& [partition, owned] : owned_) {
    // One answer at a time: what is returned and not durable would come again.
    if (owned.revoking || owned.books->returning() || !owned.books->reread()) continue;
    partitions.push_back(partition);
    asked.push_back(owned.books);
  }
  auto again = [this, alive = std::weak_ptr(alive_)](Duration delay) {
    if (!alive.expired()) redrive_timer_ = loop_.After(delay, [this] { RedriveTick(); });
  };
  if (partitions.empty()) return again(options_.redrive_interval);
  redrives_asked_ = true;
  redrives_nudged_ = false;
  store_.LoadChosen(std::move(partitions), ToMillis(loop_.Now()),
                    [this, alive = std::weak_ptr(alive_), asked = std::move(asked),
                     again](Result<InvokeStore::Chosen> chosen) {
                      if (alive.expired()) return;
                      redrives_asked_ = false;
                      bool soon = (chosen.ok() && chosen->more) || redrives_nudged_;
                      again(soon ? options_.redrive_interval : options_.redrive_idle_interval);
                      if (chosen.ok()) LettersChosen(asked, std::move(chosen->letters));
                    });
}

void Invoker::LettersChosen(const std::vector<std::weak_ptr<InvocationPartition>>& asked,
                            std::vector<ChosenLetter> letters) {
  std::map<int32_t, std::vector<ChosenLetter>> by_partition;
  for (auto& letter : letters) by_partition[letter.partition].push_back(std::move(letter));
  for (const auto& weak : asked) {
    auto books = weak.lock();
    if (books == nullptr) continue;
    auto it = owned_.find(books->partition());
    bool ours = it != owned_.end() && it->second.books == books && !it->second.revoking;
    auto found = by_partition.find(books->partition());
    if (ours && found != by_partition.end()) dispatcher_->Return(*books, found->second);
  }
}

// ---- progress ----

void Invoker::ProgressTick() {
  progress_timer_ = loop_.AfterAbout(options_.progress_interval, [this] { ProgressTick(); });
  ShareChanged();
  int64_t expired = ToMillis(loop_.Now()) - options_.mark_ttl.count();
  size_t keys = 0;
  size_t blocked = 0;
  for (auto& [partition, owned] : owned_) {
    keys += owned.books->order().keys();
    blocked += owned.books->order().blocked();
    if (ManySettled(*owned.books)) busy_until_ = loop_.Steady() + kBusyFor;
    LookForBlocking(owned);
    PublishProgress(owned, 0);
    owned.books->intake().Expire(expired);
  }
  dispatcher_->Report(keys, blocked);
  if (busy_timer_ == kNoTimer) BusyTick();
}

// Which keys hold others back is told when it changes.
void Invoker::LookForBlocking(Owned& owned) {
  SteadyTime now = loop_.Steady();
  if (now - owned.blocking_at < options_.blocking_interval) return;
  owned.blocking_at = now;
  auto found = owned.books->order().Blocking(now);
  auto& accounts = owned.books->accounts();
  auto changed = [&](const Uuid& subscription) {
    auto account = accounts.find(subscription);
    if (account != accounts.end()) account->second.changed = true;
  };
  for (const auto& [subscription, blocked] : found) {
    auto told = owned.blocking.find(subscription);
    if (told == owned.blocking.end() || told->second != blocked) changed(subscription);
  }
  for (const auto& [subscription, blocked] : owned.blocking) {
    if (!found.contains(subscription)) changed(subscription);
  }
  owned.blocking = std::move(found);
}

// event-manager feeds a subscription by what is settled: at full speed its allowance is used up in
// less than progress_interval, and nothing would come for the rest of that.
void Invoker::BusyTick() {
  busy_timer_ = kNoTimer;
  if (loop_.Steady() >= busy_until_) return;
  busy_timer_ = loop_.After(options_.busy_interval, [this] { BusyTick(); });
  for (auto& [partition, owned] : owned_) PublishProgress(owned, kManySettled);
}

void Invoker::PublishProgress(const Owned& owned, int64_t least) {
  auto& accounts = owned.books->accounts();
  owned.books->Advance(ToMillis(loop_.Now()));
  auto wanted = [least](const InvocationPartition::Account& account) {
    return account.changed && account.untold() >= least;
  };
  bool any = std::any_of(accounts.begin(), accounts.end(),
                         [&](const auto& item) { return wanted(item.second); });
  if (!any) return;
  auto pending = owned.books->CountPending();
  for (auto& [subscription, account] : accounts) {
    if (!wanted(account)) continue;
    const auto& counts = pending[subscription];
    schema::Progress progress;
    progress.subscription = subscription;
    progress.partition = owned.books->partition();
    progress.epoch = owned.books->epoch();
    progress.counters = account.counters;
    progress.queued = counts.queued;
    progress.in_flight = counts.in_flight;
    progress.retrying = counts.retrying;
    progress.scheduled = counts.scheduled;
    progress.oldest_pending_ms = counts.oldest_ms;
    progress.last_failure = account.last_failure;
    progress.written_ms = ToMillis(loop_.Now());
    progress.circuit = dispatcher_->CircuitOf(subscription);
    progress.failing_since_ms = account.failing_since_ms;
    progress.last_success_ms = account.last_success_ms;
    auto blocking = owned.blocking.find(subscription);
    if (blocking != owned.blocking.end()) progress.blocked = blocking->second;
    broker::ProduceRecord record;
    record.topic = broker::kProgressTopic;
    record.key = subscription.ToString() + "/" + std::to_string(progress.partition);
    record.value = schema::Encode(progress);
    // A full queue: the next tick tells the newer counts.
    // What is not told would hold back the subscription: event-manager feeds it by what is settled.
    auto told = [books = std::weak_ptr(owned.books), subscription](Result<broker::Position> at) {
      auto alive = books.lock();
      if (at.ok() || alive == nullptr) return;
      auto it = alive->accounts().find(subscription);
      if (it != alive->accounts().end()) it->second.changed = true;
    };
    if (!producer_->Produce(std::move(record), std::move(told)).ok()) return;
    account.changed = false;
    account.told = account.counters.settled();
  }
}

void Invoker::Stop(std::function<void()> stopped) {
  if (consumer_ == nullptr) return stopped();
  consumer_->Close([this, alive = std::weak_ptr(alive_), stopped = std::move(stopped)] {
    if (alive.expired()) return;
    checkpoints_->Stop();
    loop_.Cancel(wheel_timer_);
    loop_.Cancel(progress_timer_);
    loop_.Cancel(busy_timer_);
    loop_.Cancel(redrive_timer_);
    stopped();
  });
}

}  // namespace dispatch
