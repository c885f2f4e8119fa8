#include "event-manager/src/domain/lag_session.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "common/log.h"
#include "event-manager/src/domain/grant.h"
#include "event-manager/src/domain/lost_offsets.h"

namespace dispatch {

namespace {
// Closer than this the shared reader waits, so that a busy topic cannot outrun the session.
constexpr int64_t kJoinDistance = 1'000;
constexpr Duration kLostRetry = std::chrono::milliseconds(500);
constexpr Duration kHandOverRetry = std::chrono::milliseconds(10);
// Of what is read and may not be taken yet. Above, the reader is paused, which costs it what it has
// fetched.
constexpr size_t kMostQueued = 4'096;
constexpr size_t kMostQueuedBytes = 8 * 1024 * 1024;
// Taken in one turn of the loop, and under way to the invocations: live events do not wait behind
// all that is queued here.
constexpr int kTurn = 64;
constexpr size_t kMostUnwritten = 256;
}  // namespace

LagSession::LagSession(broker::Broker& broker, Loop& loop, Host& host,
                       schema::MatchCheckpoint::Session state, OffsetTracker::Limits limits,
                       bool durable, int64_t reach)
    : broker_(broker),
      loop_(loop),
      host_(host),
      stream_(state.stream),
      tracker_(OffsetTracker::Restore(state.position, state.completed, limits)),
      seen_(state.position),
      members_(std::move(state.members)),
      granted_(state.granted.value_or(state.position)),
      granting_(granted_),
      grant_from_(state.position),
      reach_(reach),
      durability_(durable ? Durability::kDurable : Durability::kFresh) {
  MembersChanged();
}

LagSession::~LagSession() {
  loop_.Cancel(retry_);
  loop_.Cancel(range_retry_);
  if (holding_) host_.HoldLive(false);
}

void LagSession::Start() {
  started_at_ = fed_at_ = loop_.Steady();
  paused_ = false;
  MembersChanged();  // what an owner before us left may not have been known when we were made
  reader_ = broker_.NewReader("dispatch-lagging-reader", *this);
  reader_->Add(host_.topic_partition(), seen_);
}

void LagSession::Park() {
  reader_.reset();
  queue_.clear();
  queued_bytes_ = 0;
  loop_.Cancel(retry_);
  loop_.Cancel(range_retry_);
  LetLiveGo();
}

void LagSession::Continue() {
  if (!started()) return;
  Process();
  host_.SessionMoved();
}

void LagSession::Join(Member member) {
  if (member.from < seen_) {
    seen_ = grant_from_ = granted_ = granting_ = member.from;
    tracker_ = OffsetTracker::Restore(seen_, {}, tracker_.limits());
  }
  members_.push_back(member);
  MembersChanged();
}

std::optional<int64_t> LagSession::Leave(const Uuid& subscription, int64_t no_sooner) {
  auto [first, last] = RangeOf(subscription);
  for (size_t i = first; i < last; ++i) {
    Member& member = members_[i];
    if (member.until) continue;
    int64_t until = std::max({member.from, seen_, reach_, no_sooner});
    member.until = until;
    leaving_ = Durability::kFresh;
    MembersChanged();
    return until;
  }
  return std::nullopt;
}

void LagSession::Cut(const Uuid& subscription) {
  auto [first, last] = RangeOf(subscription);
  for (size_t i = first; i < last; ++i) {
    Member& member = members_[i];
    int64_t until = std::max({member.from, seen_, reach_});
    if (member.until && *member.until <= until) continue;
    member.until = until;
    leaving_ = Durability::kFresh;
  }
  MembersChanged();
}

void LagSession::Drop(const Uuid& subscription) {
  std::erase_if(members_, [&](const Member& m) { return m.subscription == subscription; });
  MembersChanged();
}

void LagSession::MembersChanged() {
  std::sort(members_.begin(), members_.end(), [](const Member& a, const Member& b) {
    return std::tie(a.subscription, a.from) < std::tie(b.subscription, b.from);
  });
  open_ = 0;
  first_wanted_ = kForever;
  last_wanted_ = 0;
  first_end_ = kForever;
  for (const Member& member : members_) {
    if (!member.until) {
      ++open_;
      first_end_ = std::min(first_end_, host_.EndOf(member));
    }
    if (member.until && *member.until <= member.from) continue;
    first_wanted_ = std::min(first_wanted_, member.from);
    last_wanted_ = std::max(last_wanted_, member.until.value_or(0));
  }
}

std::pair<size_t, size_t> LagSession::RangeOf(const Uuid& subscription) const {
  auto first = std::partition_point(members_.begin(), members_.end(),
                                    [&](const Member& m) { return m.subscription < subscription; });
  auto last = first;
  while (last != members_.end() && last->subscription == subscription) ++last;
  return {first - members_.begin(), last - members_.begin()};
}

std::optional<int32_t> LagSession::Serves(const Uuid& subscription, int64_t offset) const {
  auto [first, last] = RangeOf(subscription);
  for (size_t i = first; i < last; ++i) {
    const Member& member = members_[i];
    if (offset >= member.from && (!member.until || offset < *member.until)) {
      return member.generation;
    }
  }
  return std::nullopt;
}

bool LagSession::HasOpen(const Uuid& subscription) const {
  auto [first, last] = RangeOf(subscription);
  return std::any_of(members_.begin() + static_cast<ptrdiff_t>(first),
                     members_.begin() + static_cast<ptrdiff_t>(last),
                     [](const Member& m) { return !m.until; });
}

bool LagSession::Owes(const Uuid& subscription, int32_t generation) const {
  auto [first, last] = RangeOf(subscription);
  return std::any_of(members_.begin() + static_cast<ptrdiff_t>(first),
                     members_.begin() + static_cast<ptrdiff_t>(last),
                     [&](const Member& m) { return m.generation == generation && !Wrote(m); });
}

bool LagSession::Wrote(const Member& member) const {
  if (member.until && *member.until <= member.from) return true;
  return member.until && *member.until <= seen_ &&
         (tracker_.incomplete() == 0 || *member.until <= tracker_.Position());
}

bool LagSession::finished() const {
  return read_all() && tracker_.incomplete() == 0 && hand_over_ == Durability::kDurable &&
         leaving_ == Durability::kDurable;
}

void LagSession::Saved() {
  if (durability_ == Durability::kSaving) durability_ = Durability::kDurable;
  if (hand_over_ == Durability::kSaving) hand_over_ = Durability::kDurable;
  // One that is parked does not find out by itself.
  if (open_ == 0 || !started()) LetLiveGo();
  if (leaving_ == Durability::kSaving) leaving_ = Durability::kDurable;
  granted_ = std::max(granted_, granting_);
  if (started()) Process();
}

schema::MatchCheckpoint::Session LagSession::Snapshot() {
  if (durability_ == Durability::kFresh) durability_ = Durability::kSaving;
  if (hand_over_ == Durability::kFresh) hand_over_ = Durability::kSaving;
  if (leaving_ == Durability::kFresh) leaving_ = Durability::kSaving;
  granting_ = std::max(granting_, NextGrant(grant_from_, seen_, host_.grants()));
  grant_from_ = seen_;
  return {stream_, tracker_.Position(), tracker_.Completed(), members_, granting_};
}

void LagSession::OnRecords(std::vector<broker::Record> records) {
  for (auto& record : records) {
    queued_bytes_ += BytesOf(record);
    queue_.push_back(std::move(record));
  }
  Process();
  host_.SessionMoved();
}

void LagSession::Process() {
  if (std::exchange(processing_, true)) return;
  int taken = 0;
  bool ours = host_.MayRead();
  while (ours && !queue_.empty() && leaving_ == Durability::kDurable && MayWrite() &&
         host_.MayFeed(*this)) {
    if (queue_.front().offset >= granted_) {
      // Nothing is before it: a gap may be longer than any grant from where we stand.
      seen_ = std::max(seen_, queue_.front().offset);
      host_.CheckpointSoon();
      break;
    }
    if (++taken > kTurn) {
      ProcessSoon();
      break;
    }
    if (!TakeTurn()) break;
    broker::Record record = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= BytesOf(record);
    fed_at_ = loop_.Steady();
    Take(std::move(record));
  }
  processing_ = false;
  HandOverIfMet();
  PaceReader();
}

bool LagSession::MayWrite() const {
  return !tracker_.full() && tracker_.incomplete() < kMostUnwritten;
}

// While the shared reader waits for us there is no time to lose.
bool LagSession::TakeTurn() {
  if (holding_) return true;
  if (awaits_turn_) return false;
  awaits_turn_ = !host_.TakeTurn([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    awaits_turn_ = false;
    Continue();
  });
  return !awaits_turn_;
}

void LagSession::ProcessSoon() {
  if (std::exchange(process_posted_, true)) return;
  loop_.Post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    process_posted_ = false;
    Continue();
  });
}

void LagSession::Take(broker::Record record) {
  // Hand over before a record that the shared reader will serve itself.
  seen_ = std::max(seen_, record.offset);
  HandOverIfMet();
  bool wanted = record.offset >= first_wanted_ && (open_ > 0 || record.offset < last_wanted_);
  seen_ = std::max(seen_, record.offset + 1);
  if (!tracker_.Deliver(record.offset, 1, BytesOf(record))) return;
  if (!wanted) {
    tracker_.Complete(record.offset);
    return;
  }
  host_.MatchLagging(record, *this, [this, alive = std::weak_ptr(alive_), offset = record.offset] {
    if (alive.expired()) return;
    bool waited = !MayWrite();
    tracker_.Complete(offset);
    if (waited && MayWrite() && !queue_.empty()) return ProcessSoon();
    HandOverIfMet();
    PaceReader();
    host_.SessionMoved();
  });
}

void LagSession::OnEnd(const broker::TopicPartition&, int64_t next_offset) {
  if (queue_.empty()) seen_ = std::max(seen_, next_offset);
  HandOverIfMet();
  host_.SessionMoved();
}

void LagSession::OnPartitionError(const broker::TopicPartition& partition, const Error& error) {
  if (error.code != Code::kOutOfRange) {
    log::Warning("lagging reader failed topic={} partition={} error=\"{}\"", partition.topic,
                 partition.partition, error.message);
    return;
  }
  broker_.admin().ListOffsets(partition.topic, [this, alive = std::weak_ptr(alive_), partition](
                                                   Result<std::vector<broker::Offsets>> offsets) {
    if (alive.expired()) return;
    if (!offsets.ok() || static_cast<size_t>(partition.partition) >= offsets->size()) {
      return LookAgain(partition, std::chrono::seconds(1));
    }
    if (!started()) return;  // it is told again when it starts
    // What was read in time is not lost, and is counted first.
    if (!queue_.empty() || tracker_.incomplete() > 0) {
      return LookAgain(partition, kLostRetry);
    }
    int64_t earliest = (*offsets)[partition.partition].earliest;
    if (seen_ < earliest) {
      host_.SessionLost(*this, seen_, earliest);
      seen_ = earliest;
      tracker_ = SkipTo(tracker_, earliest);
    }
    reader_->Remove(partition);
    reader_->Add(partition, seen_);
    HandOverIfMet();
    host_.SessionMoved();
  });
}

void LagSession::LookAgain(const broker::TopicPartition& partition, Duration delay) {
  loop_.Cancel(range_retry_);
  range_retry_ = loop_.After(delay, [this, partition] {
    OnPartitionError(partition, Error{Code::kOutOfRange, "retry", true, {}});
  });
}

// Replays end where they were told to, and nobody takes over.
void LagSession::EndMembers() {
  bool ended = false;
  for (auto& member : members_) {
    if (member.until) continue;
    int64_t end = host_.EndOf(member);
    if (end == kForever || (seen_ < end && end > member.from)) continue;
    member.until = std::max(end, member.from);
    host_.Ended(member, *member.until);
    hand_over_ = Durability::kFresh;
    ended = true;
  }
  if (!ended) return;
  MembersChanged();
  host_.CheckpointSoon();
}

void LagSession::HandOverIfMet() {
  if (open_ > 0 && seen_ >= first_end_) EndMembers();
  if (open_ == 0) return;
  if (leaving_ != Durability::kDurable || !host_.MayFeed(*this)) return LetLiveGo();
  // What an owner before us may have written comes again first: the shared reader would write it
  // under another stream.
  int64_t meet = std::max(host_.live_next(), reach_);
  if (seen_ < meet) {
    bool close = meet - seen_ < kJoinDistance;
    if (close && !holding_ && started()) {
      holding_ = true;
      host_.HoldLive(true);
    }
    return;
  }
  if (!holding_) {
    holding_ = true;
    host_.HoldLive(true);
  }
  // All that we read is written first: after a crash it is read again, while the shared reader is
  // at work already, and what it writes for a member would pass it.
  if (tracker_.incomplete() > 0) return;
  bool refused = false;
  for (auto& member : members_) {
    if (member.until) continue;
    // We may be further than the shared reader, when it could not take over at once.
    int64_t at = std::max({meet, member.from, seen_});
    if (host_.HandOver(member, at)) {
      member.until = at;
      hand_over_ = Durability::kFresh;
    } else {
      refused = true;
    }
  }
  MembersChanged();
  if (refused) {
    // The shared reader must get on before it can take over: not while we hold it.
    LetLiveGo();
    loop_.Cancel(retry_);
    retry_ = loop_.After(kHandOverRetry, [this] {
      HandOverIfMet();
      host_.SessionMoved();
    });
    return;
  }
  host_.CheckpointSoon();
}

// Unless it waits for a hand-over to be durable.
void LagSession::LetLiveGo() {
  if (!holding_ || hand_over_ != Durability::kDurable) return;
  holding_ = false;
  host_.HoldLive(false);
}

void LagSession::PaceReader() {
  if (reader_ == nullptr) return;
  bool pause = paused_ ? !tracker_.half_empty() : tracker_.full();
  bool queued = paused_ ? queue_.size() > kMostQueued / 2 || queued_bytes_ > kMostQueuedBytes / 2
                        : queue_.size() > kMostQueued || queued_bytes_ > kMostQueuedBytes;
  pause = pause || read_all() || queued;
  if (pause == paused_) return;
  paused_ = pause;
  if (pause) {
    reader_->Pause(host_.topic_partition());
  } else {
    reader_->Resume(host_.topic_partition());
  }
}

}  // namespace dispatch
