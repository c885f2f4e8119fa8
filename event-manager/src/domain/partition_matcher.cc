#include "event-manager/src/domain/partition_matcher.h"

#include <algorithm>

#include "common/log.h"
#include "common/metrics.h"
#include "event-manager/src/domain/grant.h"
#include "event-manager/src/domain/lost_offsets.h"
#include "event-manager/src/domain/match_span.h"
#include "schema/event_span.h"

namespace dispatch {

namespace {

// So long without a record the shared reader may be at the end of the log.
constexpr Duration kIdle = std::chrono::seconds(3);
// Records kept while the shared reader is held; above, the partition is paused.
constexpr size_t kMostHeld = 512;

// What a new owner finds and is not told of within this time was deleted.
constexpr Duration kUnknownPatience = std::chrono::seconds(2);
// How long a lagging reader keeps its place when others wait for one.
constexpr Duration kSessionTurn = std::chrono::seconds(2);
// How long those with allowance wait for those without before they part. At full speed allowance
// comes back within a fraction of it, and a reader that was closed needs half a second to see its
// first record again.
constexpr Duration kPatience = std::chrono::seconds(2);
constexpr Duration kPatienceWhenSlotsAreWanted = std::chrono::milliseconds(500);

}  // namespace

PartitionMatcher::PartitionMatcher(Engine& engine, const TopicEntry& topic, PartitionState state)
    : engine_(engine),
      topic_(topic),
      id_(state.id),
      epoch_(state.epoch),
      tracker_(OffsetTracker::Restore(state.position.value_or(0), state.checkpoint.completed,
                                      OffsetTracker::Limits{})),
      next_(state.position.value_or(0)),
      granted_(state.checkpoint.granted.value_or(next_)),
      granting_(granted_),
      grant_from_(next_),
      retired_(std::move(state.checkpoint.retired)),
      claimed_at_(engine.loop().Steady()),
      last_taken_(engine.loop().Steady()) {
  // Without a grant an older version of the program wrote the checkpoint: it kept to none.
  if (state.position) reach_ = std::min(state.end, state.checkpoint.granted.value_or(state.end));
  for (const auto& saved : state.checkpoint.counters) {
    Counter& counter = CounterOf(saved.subscription, saved.generation);
    counter.total = saved;
    counter.charged = saved.matched;
    engine_.allowance().Take(*counter.account, saved.matched);
  }
  for (auto& cursor : state.cursors) cursors_[cursor.subscription] = cursor;
  for (auto& session : state.checkpoint.sessions) {
    int64_t reach = std::min(state.end, session.granted.value_or(state.end));
    AddSession(std::move(session), true, reach);
  }
  for (const auto& [id, cursor] : cursors_) {
    const auto* known = topic_.index.Find(id);
    if (known == nullptr || (*known)->subscription.version < cursor.version) unknown_.insert(id);
  }
  if (!unknown_.empty()) ++holds_;
  for (const auto& [id, entry] : topic_.index.all()) Reconcile(*entry);
  for (const auto& [id, counter] : counters_) TellLost(id);
  StartSessions();
  if (granted_ <= next_) {  // nothing may be taken yet
    dirty_ = true;
    engine_.CheckpointSoon();
  }
}

PartitionMatcher::~PartitionMatcher() {
  for (const auto& session : sessions_) {
    if (session->started()) engine_.ReturnSessionSlot();
  }
  for (auto& [id, counter] : counters_) {
    engine_.allowance().Give(*counter.account, counter.charged);
  }
  // While the rest is still there: a session lets go of the shared reader, which is gone by now.
  ending_ = true;
  sessions_.clear();
}

broker::TopicPartition PartitionMatcher::topic_partition() const {
  return {topic_.topic.KafkaName(), id_.partition};
}

void PartitionMatcher::OnRecord(const broker::Record& record) {
  if (!held_.empty() || held(record.offset)) {
    held_.push_back(record);
    if (held_.size() == 1) AskForGrant();
    return Pace();
  }
  Take(record);
}

void PartitionMatcher::TakeHeld() {
  while (!held_.empty() && !held(held_.front().offset)) {
    broker::Record record = std::move(held_.front());
    held_.pop_front();
    Take(record);
  }
  AskForGrant();
  Pace();
}

void PartitionMatcher::AskForGrant() {
  if (held_.empty() || held_.front().offset < granted_) return;
  // Nothing is before it: a gap may be longer than any grant from where we stand.
  next_ = std::max(next_, held_.front().offset);
  CheckpointSoon();
}

void PartitionMatcher::Take(const broker::Record& record) {
  next_ = std::max(next_, record.offset + 1);
  last_taken_ = engine_.loop().Steady();
  if (!tracker_.Deliver(record.offset, 1, BytesOf(record))) return;
  int64_t offset = record.offset;
  Match(
      record, Uuid{}, [&](const Uuid& subscription) { return ServesLive(subscription, offset); },
      [this, offset] {
        tracker_.Complete(offset);
        dirty_ = true;
        if (waiting_for_order_) SessionChanged();
        Pace();
      });
  // Before the next record of the same batch.
  if (engine_.allowance().changes() != balanced_) Balance();
  Pace();
}

template <typename Wanted>
void PartitionMatcher::Match(const broker::Record& record, const Uuid& stream, const Wanted& wanted,
                             std::function<void()> done) {
  SpanPtr span = StartMatchSpan(engine_.tracer(), record, stream);
  auto event = cloudevents::FromKafka(record.headers, record.value);
  auto guarded = [alive = std::weak_ptr(alive_), done = std::move(done)] {
    if (!alive.expired()) done();
  };
  if (!event.ok()) {
    // The lagging readers leave it to the shared one, which has or will have seen it too.
    if (!stream.is_nil()) return guarded();
    if (span != nullptr) schema::DescribeError(event.error(), *span);
    EndSpan(engine_.tracer(), span);
    return engine_.writer().WriteUnparsable(topic_.topic, record, event.error().message,
                                            ToMillis(engine_.loop().Now()), std::move(guarded));
  }
  hits_.clear();
  faults_.clear();
  topic_.index.Match(*event, &hits_, &faults_);
  std::erase_if(faults_, [&](const MatchIndex::Fault& fault) {
    return !fault.subscription->Serves(id_.partition, record.offset) ||
           !wanted(fault.subscription->subscription.uuid);
  });
  std::vector<Faulty> faulty;
  for (const auto& fault : faults_) {
    faulty.push_back({fault.subscription->subscription.uuid, fault.errors});
  }
  std::vector<schema::Target> targets;
  for (const auto* hit : hits_) {
    const auto& s = hit->subscription;
    bool serves = hit->Serves(id_.partition, record.offset);
    if (!serves) continue;
    if (auto generation = wanted(s.uuid)) targets.push_back({s.uuid, *generation, s.version});
  }
  if (span != nullptr) {
    schema::DescribeEvent(*event, *span);
    span->Set("dispatch.matched", static_cast<int64_t>(targets.size()));
  }
  if (targets.empty()) {
    // What a lagging reader only passes by is nobody's story.
    if (stream.is_nil()) EndSpan(engine_.tracer(), span);
    CountFaulty(faulty, record.offset);
    return guarded();
  }
  for (const auto& target : targets) {
    Counter& counter = CounterOf(target.subscription, target.generation);
    ++counter.charged;
    engine_.allowance().Charge(*counter.account, BytesOf(record));
  }
  auto counted = targets;
  engine_.writer().Write(
      topic_.topic, record, *event, stream, std::move(targets),
      [this, alive = std::weak_ptr(alive_), counted = std::move(counted), span,
       faulty = std::move(faulty), offset = record.offset, guarded = std::move(guarded)] {
        if (alive.expired()) return;
        EndSpan(engine_.tracer(), span);
        CountFaulty(faulty, offset);
        for (const auto& target : counted) {
          auto it = counters_.find(target.subscription);
          if (it != counters_.end()) ++it->second.total.matched;
        }
        guarded();
      },
      span);
}

// With the record's completion, as what matched: else a crash would count some twice.
void PartitionMatcher::CountFaulty(const std::vector<Faulty>& faulty, int64_t offset) {
  for (const auto& [subscription, errors] : faulty) {
    auto cursor = cursors_.find(subscription);
    if (cursor == cursors_.end()) continue;
    auto& sum = CounterOf(subscription, cursor->second.generation).total.filter_errors;
    ++sum.events;
    for (auto kind : cesql::kErrorKinds) {
      if (errors.Contains(kind)) ++sum.kinds[std::string(cesql::ErrorKindName(kind))];
    }
    sum.last_offset = offset;
    sum.last_ms = ToMillis(engine_.loop().Now());
  }
}

void PartitionMatcher::MatchLagging(const broker::Record& record, const LagSession& session,
                                    std::function<void()> done) {
  int64_t offset = record.offset;
  Match(
      record, session.stream(),
      [&](const Uuid& subscription) { return session.Serves(subscription, offset); },
      std::move(done));
}

bool PartitionMatcher::OnLost(int64_t earliest) {
  // What was read in time is not lost, and is counted first.
  if (!held_.empty() || tracker_.incomplete() > 0) return false;
  for (const auto& [id, cursor] : cursors_) {
    int64_t first = std::max(next_, cursor.live_from);
    int64_t last = std::min(earliest, cursor.live_until);
    int64_t lost = NotComplete(tracker_, first, last);
    if (lost > 0) CountLost(id, cursor.generation, lost);
  }
  log::Error("retention passed the position topic={} partition={} from={} earliest={} lost={}",
             topic_.topic.KafkaName(), id_.partition, next_, earliest,
             NotComplete(tracker_, next_, earliest));
  next_ = std::max(next_, earliest);
  tracker_ = SkipTo(tracker_, earliest);
  dirty_ = true;
  return true;
}

void PartitionMatcher::CountLost(const Uuid& subscription, int32_t generation, int64_t offsets) {
  CounterOf(subscription, generation).total.lost += offsets;
  TellLost(subscription);
}

void PartitionMatcher::TellLost(const Uuid& subscription) {
  const auto* known = topic_.index.Find(subscription);
  auto counter = counters_.find(subscription);
  if (known == nullptr || counter == counters_.end() || counter->second.total.lost == 0) return;
  engine_.TellLost((*known)->subscription, id_, counter->second.total.lost);
}

void PartitionMatcher::SessionLost(const LagSession& session, int64_t from, int64_t resume_at) {
  for (const auto& member : session.members()) {
    int64_t first = std::max(from, member.from);
    int64_t last = member.until ? std::min(*member.until, resume_at) : resume_at;
    int64_t lost = session.NotComplete(first, last);
    if (lost > 0) CountLost(member.subscription, member.generation, lost);
  }
  log::Error("retention passed a lagging reader topic={} partition={} from={} earliest={}",
             topic_.topic.KafkaName(), id_.partition, from, resume_at);
  dirty_ = true;
}

void PartitionMatcher::Reconcile(const CompiledSubscription& compiled) {
  const auto& s = compiled.subscription;
  auto [it, fresh] = cursors_.try_emplace(s.uuid);
  Cursor& cursor = it->second;
  if (s.version < cursor.version) return;
  if (unknown_.erase(s.uuid) > 0 && unknown_.empty()) HoldLive(false);
  if (fresh || cursor.generation < s.generation) {
    if (!fresh) Retire(cursor);
    cursor = Cursor{s.uuid, s.generation};
    cursor.version = s.version;
    int64_t boundary = s.Boundary(id_.partition);
    if (s.paused && s.PauseBoundary(id_.partition) <= boundary) {
      cursor.paused_at = boundary;
      Changed(cursor);
    } else {
      Begin(cursor, boundary);
    }
  }
  // Changes may come in one: what is paused may have been resumed, and paused again further on.
  int64_t until = s.PauseBoundary(id_.partition);
  bool resumed = cursor.paused_at && (!s.paused || *cursor.paused_at < until);
  bool pauses = s.paused && (resumed || !cursor.paused_at);
  if (resumed || pauses) cursor.version = s.version;
  if (resumed) ResumeCursor(cursor);
  if (pauses) PauseCursor(cursor, until);
}

// What we, or an owner before us, may have written of a generation that is over comes again after a
// crash, as it was: else what is counted here and what function-manager took in would differ.
void PartitionMatcher::Retire(const Cursor& cursor) {
  for (auto& session : sessions_) session->Cut(cursor.subscription);
  if (cursor.live_from == kForever) return;
  int64_t until = std::min(cursor.live_until, std::max(next_, reach_));
  if (cursor.live_from >= until || tracker_.Position() >= until) return;
  retired_.push_back({cursor.subscription, cursor.generation, cursor.live_from, until});
}

// The generation of the subscription that the shared read serves at an offset.
std::optional<int32_t> PartitionMatcher::ServesLive(const Uuid& subscription,
                                                    int64_t offset) const {
  auto it = cursors_.find(subscription);
  if (it == cursors_.end()) return std::nullopt;
  if (it->second.ServesLive(offset)) return it->second.generation;
  for (const auto& retired : retired_) {
    if (retired.subscription == subscription && offset >= retired.from && offset < retired.until) {
      return retired.generation;
    }
  }
  return std::nullopt;
}

void PartitionMatcher::Begin(Cursor& cursor, int64_t start) {
  if (start >= live_next()) {
    cursor.live_from = start;
    cursor.live_until = kForever;
  } else {
    AddToSession(cursor, start);
  }
  Changed(cursor);
}

void PartitionMatcher::AddToSession(const Cursor& cursor, int64_t start) {
  LagSession::Member member{cursor.subscription, cursor.generation, start, std::nullopt};
  for (auto& session : sessions_) {
    if (session->fresh()) {
      session->Join(member);
      return CheckpointSoon();
    }
  }
  schema::MatchCheckpoint::Session state;
  state.stream = Uuid::V7(engine_.loop().Now());
  state.position = start;
  state.members.push_back(member);
  AddSession(std::move(state), false, 0);
  CheckpointSoon();
}

void PartitionMatcher::AddSession(schema::MatchCheckpoint::Session state, bool durable,
                                  int64_t reach) {
  LagSession::Host& host = *this;
  sessions_.push_back(std::make_unique<LagSession>(engine_.broker(), engine_.loop(), host,
                                                   std::move(state), OffsetTracker::Limits{},
                                                   durable, reach));
}

void PartitionMatcher::PauseCursor(Cursor& cursor, int64_t no_sooner) {
  std::optional<int64_t> left;
  for (auto& session : sessions_) {
    if (auto at = session->Leave(cursor.subscription, no_sooner)) left = at;
  }
  if (left) {
    cursor.paused_at = left;
  } else {
    cursor.paused_at = std::max({cursor.live_from, next_, reach_, no_sooner});
    cursor.live_until = *cursor.paused_at;
  }
  Changed(cursor);
  SessionChanged();
}

void PartitionMatcher::ResumeCursor(Cursor& cursor) {
  int64_t start = *cursor.paused_at;
  cursor.paused_at.reset();
  if (start >= live_next() && cursor.live_until == start) {
    cursor.live_until = kForever;  // nothing came meanwhile
    Changed(cursor);
  } else if (start >= live_next() && tracker_.Position() >= cursor.live_until &&
             !InSession(cursor.subscription, cursor.generation, nullptr)) {
    Begin(cursor, start);
  } else {
    AddToSession(cursor, start);
    Changed(cursor);
  }
}

bool PartitionMatcher::HandOver(const LagSession::Member& member, int64_t offset) {
  auto it = cursors_.find(member.subscription);
  if (it == cursors_.end() || it->second.generation != member.generation) return true;
  Cursor& cursor = it->second;
  // A restart would read again from the tracker's position, and needs the old live range until
  // then.
  bool had_live = cursor.live_from != kForever;
  if (had_live && tracker_.Position() < cursor.live_until) return false;
  cursor.live_from = offset;
  cursor.live_until = kForever;
  Changed(cursor);
  log::Info("subscription is live subscription={} topic={} partition={} offset={}",
            member.subscription.ToString(), topic_.topic.KafkaName(), id_.partition, offset);
  return true;
}

int64_t PartitionMatcher::EndOf(const LagSession::Member& member) const {
  const auto* known = topic_.index.Find(member.subscription);
  return known == nullptr ? kForever : (*known)->subscription.End(id_.partition);
}

// An empty range: nobody serves it, and where it ended is told.
void PartitionMatcher::Ended(const LagSession::Member& member, int64_t end) {
  auto it = cursors_.find(member.subscription);
  if (it == cursors_.end() || it->second.generation != member.generation) return;
  it->second.live_from = it->second.live_until = end;
  Changed(it->second);
}

void PartitionMatcher::Remove(const Uuid& subscription) {
  for (auto& session : sessions_) session->Drop(subscription);
  if (cursors_.erase(subscription) > 0) removed_.insert(subscription);
  if (auto it = counters_.find(subscription); it != counters_.end()) {
    engine_.allowance().Refund(*it->second.account, it->second.charged);
    counters_.erase(it);
  }
  changed_.erase(subscription);
  if (unknown_.erase(subscription) > 0 && unknown_.empty()) HoldLive(false);
  dirty_ = true;
  SessionChanged();
}

// An earlier session than `before` (null: any) has something left to write for the subscription.
bool PartitionMatcher::InSession(const Uuid& subscription, int32_t generation,
                                 const LagSession* before) const {
  for (const auto& session : sessions_) {
    if (session.get() == before) return false;
    if (!session->finished() && session->Owes(subscription, generation)) return true;
  }
  return false;
}

// What its members have to get before is written: by the shared reader up to where they were
// paused, by sessions before it. Else the order by key would break.
bool PartitionMatcher::MayFollow(const LagSession& session) const {
  for (const auto& member : session.members()) {
    if (InSession(member.subscription, member.generation, &session)) return false;
    auto it = cursors_.find(member.subscription);
    if (it == cursors_.end() || it->second.live_from == kForever) continue;
    if (it->second.generation != member.generation) continue;
    int64_t until = it->second.live_until;
    if (until == kForever || tracker_.Position() >= until) continue;
    // The last offsets of a log may hold no records, so that we never get there.
    bool read_all = next_ >= until || (probe_ != nullptr && probe_->Proves(next_, until));
    if (!read_all || tracker_.incomplete() > 0 || !held_.empty()) return false;
  }
  return true;
}

void PartitionMatcher::StartSessions() {
  waiting_for_order_ = false;
  for (auto& session : sessions_) {
    if (session->started() || session->finished() || !session->durable()) continue;
    if (!MayFeed(*session)) continue;
    if (!MayFollow(*session)) {
      waiting_for_order_ = true;
      continue;
    }
    if (!engine_.TakeSessionSlot()) return;
    session->Start();
  }
  if (waiting_for_order_) Probe();
}

void PartitionMatcher::Probe() {
  SteadyTime now = engine_.loop().Steady();
  bool idle = held_.empty() && now - last_taken_ > kIdle;
  if (!idle || (probe_ != nullptr && (!probe_->found() || now - probed_at_ < kIdle))) return;
  probed_at_ = now;
  probe_ = std::make_unique<GapProbe>(engine_.broker(), engine_.loop(), topic_partition(), next_,
                                      [this] { SessionChanged(); });
}

void PartitionMatcher::SessionChanged() {
  if (reap_posted_) return;
  reap_posted_ = true;
  // Not at once: the caller may be a session.
  engine_.loop().Post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    reap_posted_ = false;
    ReapSessions();
  });
}

void PartitionMatcher::ReapSessions() {
  size_t before = sessions_.size();
  std::erase_if(sessions_, [this](const std::unique_ptr<LagSession>& session) {
    if (!session->finished()) return false;
    if (session->started()) engine_.ReturnSessionSlot();
    return true;
  });
  if (sessions_.size() != before) dirty_ = true;
  StartSessions();
}

void PartitionMatcher::HoldLive(bool hold) {
  holds_ += hold ? 1 : -1;
  if (holds_ == 0 && !held_.empty()) {
    // Not at once: the caller may be a session.
    engine_.loop().Post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) TakeHeld();
    });
  }
  Pace();
}

void PartitionMatcher::Pace() {
  if (ending_) return;
  bool full = paused_ ? !tracker_.half_empty() : tracker_.full();
  // Short waits are not worth what the consumer has fetched, which pausing throws away.
  bool behind = held_.size() > (paused_ ? kMostHeld / 2 : kMostHeld);
  bool pause = full || waiting_ || behind || engine_.writer().full();
  if (pause == paused_) return;
  paused_ = pause;
  engine_.SetPaused(topic_partition(), pause);
}

void PartitionMatcher::Changed(const Cursor& cursor) {
  changed_.insert(cursor.subscription);
  // Until the change is durable the shared reader waits: what it would write under the new cursors,
  // an owner after a crash would write again under the old ones, with other targets, and
  // function-manager would take that for a repeat.
  if (!change_hold_) {
    change_hold_ = true;
    HoldLive(true);
  }
  CheckpointSoon();
}

PartitionSave PartitionMatcher::Snapshot() {
  PartitionSave save{id_, epoch_, tracker_.Position(), {}, {}, {}};
  save.checkpoint.completed = tracker_.Completed();
  save.checkpoint.counters.reserve(counters_.size());
  for (const auto& [id, counter] : counters_) save.checkpoint.counters.push_back(counter.total);
  for (const auto& session : sessions_) save.checkpoint.sessions.push_back(session->Snapshot());
  granting_ = std::max(granting_, NextGrant(grant_from_, next_, engine_.grants()));
  grant_from_ = next_;
  save.checkpoint.granted = granting_;
  std::erase_if(retired_, [&](const auto& r) { return r.until <= save.position; });
  save.checkpoint.retired = retired_;
  saving_changed_.merge(changed_);
  saving_removed_.merge(removed_);
  changed_.clear();
  removed_.clear();
  for (const auto& id : saving_changed_) {
    auto it = cursors_.find(id);
    if (it != cursors_.end()) save.changed.push_back(it->second);
  }
  for (const auto& id : saving_removed_) {
    if (!cursors_.contains(id)) save.removed.push_back(id);
  }
  dirty_ = false;
  return save;
}

void PartitionMatcher::Saved() {
  saving_changed_.clear();
  saving_removed_.clear();
  granted_ = std::max(granted_, granting_);
  for (auto& session : sessions_) session->Saved();
  if (change_hold_ && !change_pending()) {
    change_hold_ = false;
    HoldLive(false);
  }
  if (!sessions_.empty()) SessionChanged();
  TakeHeld();
}

PartitionMatcher::Counter& PartitionMatcher::CounterOf(const Uuid& subscription,
                                                       int32_t generation) {
  Counter& counter = counters_[subscription];
  if (counter.account == nullptr) {
    counter.account = &engine_.allowance().Open(subscription, topic_.topic.org);
    counter.total.subscription = subscription;
  }
  counter.total.generation = generation;
  return counter;
}

// Subscriptions that went away while nobody owned the partition.
void PartitionMatcher::GiveUpUnknown() {
  if (unknown_.empty() || engine_.loop().Steady() - claimed_at_ < kUnknownPatience) return;
  std::vector<Uuid> gone;
  for (const Uuid& id : unknown_) {
    if (topic_.index.Find(id) == nullptr) gone.push_back(id);
  }
  for (const Uuid& id : gone) Remove(id);
}

void PartitionMatcher::Tend() {
  GiveUpUnknown();
  Balance();
  StartSessions();
  TakeHeld();
}

// Who has no allowance falls behind, if somebody else can go on; else the shared reader waits.
// Those that all but used up theirs are as fast as each other, and wait for each other for a while:
// each that parts costs a reading of its own.
void PartitionMatcher::Balance() {
  const Allowance& allowance = engine_.allowance();
  balanced_ = allowance.changes();
  waiting_ = allowance.stopped(topic_.topic.org);
  for (size_t i = 0, count = sessions_.size(); i < count; ++i) BalanceSession(*sessions_[i]);
  if (waiting_ || !allowance.any_exhausted()) return;
  Others others;
  std::vector<Cursor*> slow;
  for (auto& [id, cursor] : cursors_) {
    if (cursor.paused_at || cursor.live_from == kForever || cursor.live_until <= next_) continue;
    if (allowance.exhausted(id)) {
      if (cursor.live_until == kForever) slow.push_back(&cursor);
    } else {
      others.Add(allowance.plenty(id));
    }
  }
  if (slow.empty()) return;
  waiting_ = !others.go_on(engine_.loop().Steady() - last_taken_ >= kPatience);
  if (waiting_) return;
  for (Cursor* cursor : slow) FallBehind(*cursor);
}

// Members with allowance do not wait long for those without.
void PartitionMatcher::BalanceSession(LagSession& session) {
  const Allowance& allowance = engine_.allowance();
  std::vector<Uuid> slow;
  for (const Uuid& id : allowance.all_exhausted()) {
    if (session.HasOpen(id)) slow.push_back(id);
  }
  if (slow.empty()) {
    ParkIfOthersWait(session);
    return session.Continue();
  }
  Others others;
  for (const auto& member : session.members()) {
    if (!member.until && !allowance.exhausted(member.subscription)) {
      others.Add(allowance.plenty(member.subscription));
    }
  }
  // Who has an end, and is not there yet, does not wait for them either.
  if (!session.closed_are_read()) others.Add(false);
  Duration waited = engine_.loop().Steady() - session.fed_at();
  if (others.go_on(waited >= kPatience)) {
    if (session.durable()) {
      for (const Uuid& id : slow) {
        auto from = session.Leave(id, 0);
        auto cursor = cursors_.find(id);
        if (from && cursor != cursors_.end()) AddToSession(cursor->second, *from);
      }
    }
  } else if (session.started() && !others.any) {
    bool wanted = engine_.session_slots_wanted();
    if (waited >= (wanted ? kPatienceWhenSlotsAreWanted : kPatience)) {
      session.Park();
      engine_.ReturnSessionSlot();
    }
  }
  session.Continue();
}

void PartitionMatcher::ParkIfOthersWait(LagSession& session) {
  if (!session.started() || !engine_.session_slots_wanted()) return;
  if (engine_.loop().Steady() - session.started_at() < kSessionTurn) return;
  session.Park();
  engine_.ReturnSessionSlot();
}

void PartitionMatcher::FallBehind(Cursor& cursor) {
  int64_t from = std::max({cursor.live_from, next_, reach_});
  cursor.live_until = from;
  log::Info("subscription falls behind subscription={} topic={} partition={} offset={}",
            cursor.subscription.ToString(), topic_.topic.KafkaName(), id_.partition, from);
  AddToSession(cursor, from);
  Changed(cursor);
}

bool PartitionMatcher::MayFeed(const LagSession& session) const {
  if (!unknown_.empty()) return false;
  const Allowance& allowance = engine_.allowance();
  if (waiting_ && allowance.stopped(topic_.topic.org)) return false;
  const auto& exhausted = allowance.all_exhausted();
  return std::none_of(exhausted.begin(), exhausted.end(),
                      [&](const Uuid& id) { return session.HasOpen(id); });
}

const Cursor* PartitionMatcher::cursor(const Uuid& subscription) const {
  auto it = cursors_.find(subscription);
  return it == cursors_.end() ? nullptr : &it->second;
}

int64_t PartitionMatcher::matched(const Uuid& subscription) const {
  auto it = counters_.find(subscription);
  return it == counters_.end() ? 0 : it->second.total.matched;
}

}  // namespace dispatch
