#include "event-manager/src/domain/lag_session.h"

#include <algorithm>

#include "common/log.h"

namespace dispatch {

namespace {
// Closer than this the shared reader waits, so that a busy topic cannot outrun the session.
constexpr int64_t kJoinDistance = 1'000;
constexpr Duration kHandOverRetry = std::chrono::milliseconds(10);
}  // namespace

LagSession::LagSession(broker::Broker& broker, Loop& loop, Host& host,
                       schema::MatchCheckpoint::Session state, OffsetTracker::Limits limits,
                       bool durable)
    : broker_(broker),
      loop_(loop),
      host_(host),
      stream_(state.stream),
      tracker_(OffsetTracker::Restore(state.position, state.completed, limits)),
      seen_(state.position),
      members_(std::move(state.members)),
      durability_(durable ? Durability::kDurable : Durability::kFresh) {}

LagSession::~LagSession() {
  loop_.Cancel(retry_);
  if (holding_) host_.HoldLive(false);
}

void LagSession::Start() {
  started_at_ = loop_.Steady();
  paused_ = false;
  reader_ = broker_.NewReader("dispatch-lagging-reader", *this);
  reader_->Add(host_.topic_partition(), seen_);
}

void LagSession::Park() {
  reader_.reset();
  queue_.clear();
  loop_.Cancel(retry_);
  LetLiveGo();
}

void LagSession::Continue() {
  if (!started()) return;
  Process();
  host_.SessionMoved();
}

void LagSession::Join(Member member) {
  if (member.from < seen_) {
    seen_ = member.from;
    tracker_ = OffsetTracker::Restore(seen_, {}, tracker_.limits());
  }
  members_.push_back(member);
}

std::optional<int64_t> LagSession::Leave(const Uuid& subscription, int64_t no_sooner) {
  for (auto& member : members_) {
    if (member.subscription != subscription || member.until) continue;
    member.until = std::max({member.from, seen_, no_sooner});
    leaving_ = Durability::kFresh;
    return member.until;
  }
  return std::nullopt;
}

void LagSession::Drop(const Uuid& subscription) {
  std::erase_if(members_, [&](const Member& m) { return m.subscription == subscription; });
}

bool LagSession::open() const {
  return std::any_of(members_.begin(), members_.end(), [](const Member& m) { return !m.until; });
}

bool LagSession::read_all() const {
  return std::all_of(members_.begin(), members_.end(),
                     [this](const Member& m) { return m.until && *m.until <= seen_; });
}

bool LagSession::Wrote(const Member& member) const {
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
  if (holding_ && hand_over_ == Durability::kDurable && !open()) {
    holding_ = false;
    host_.HoldLive(false);
  }
  if (leaving_ == Durability::kSaving) {
    leaving_ = Durability::kDurable;
    if (started()) Process();
  }
}

schema::MatchCheckpoint::Session LagSession::Snapshot() {
  if (durability_ == Durability::kFresh) durability_ = Durability::kSaving;
  if (hand_over_ == Durability::kFresh) hand_over_ = Durability::kSaving;
  if (leaving_ == Durability::kFresh) leaving_ = Durability::kSaving;
  return {stream_, tracker_.Position(), tracker_.Completed(), members_};
}

void LagSession::OnRecords(std::vector<broker::Record> records) {
  for (auto& record : records) queue_.push_back(std::move(record));
  Process();
  host_.SessionMoved();
}

void LagSession::Process() {
  while (!queue_.empty() && leaving_ == Durability::kDurable && host_.MayFeed(*this)) {
    broker::Record record = std::move(queue_.front());
    queue_.pop_front();
    Take(std::move(record));
  }
  HandOverIfMet();
  PaceReader();
}

void LagSession::Take(broker::Record record) {
  // Hand over before a record that the shared reader will serve itself.
  seen_ = std::max(seen_, record.offset);
  HandOverIfMet();
  bool wanted = std::any_of(members_.begin(), members_.end(), [&](const Member& m) {
    return record.offset >= m.from && (!m.until || record.offset < *m.until);
  });
  seen_ = std::max(seen_, record.offset + 1);
  size_t bytes = record.value ? record.value->size() : 0;
  if (!tracker_.Deliver(record.offset, 1, bytes)) return;
  if (!wanted) {
    tracker_.Complete(record.offset);
    return;
  }
  host_.MatchLagging(record, *this, [this, alive = std::weak_ptr(alive_), offset = record.offset] {
    if (alive.expired()) return;
    tracker_.Complete(offset);
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
      retry_ = loop_.After(std::chrono::seconds(1), [this, partition] {
        OnPartitionError(partition, Error{Code::kOutOfRange, "retry", true, {}});
      });
      return;
    }
    int64_t earliest = (*offsets)[partition.partition].earliest;
    host_.SessionLost(*this, tracker_.Position(), earliest);
    seen_ = std::max(seen_, earliest);
    if (!started()) return host_.SessionMoved();
    reader_->Remove(partition);
    reader_->Add(partition, seen_);
    HandOverIfMet();
    host_.SessionMoved();
  });
}

void LagSession::HandOverIfMet() {
  if (!open()) return;
  if (leaving_ != Durability::kDurable || !host_.MayFeed(*this)) return LetLiveGo();
  int64_t meet = host_.live_next();
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
  pause = pause || read_all() || !queue_.empty();
  if (pause == paused_) return;
  paused_ = pause;
  if (pause) {
    reader_->Pause(host_.topic_partition());
  } else {
    reader_->Resume(host_.topic_partition());
  }
}

}  // namespace dispatch
