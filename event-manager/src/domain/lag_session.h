#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/offset_tracker.h"
#include "event-manager/src/domain/match_store.h"
#include "schema/messages.h"

namespace dispatch {

/// A lagging reader of one partition (DESIGN section 4): reads with a handle of its own from where
/// its members stand, until it meets the shared reader and hands each member over at an exact
/// offset. Its stream id names it to function-manager, which drops repeats after a restart. One
/// owner.
class LagSession : private broker::Reader::Listener {
 public:
  using Member = schema::MatchCheckpoint::Session::Member;

  /// The partition that the session belongs to.
  class Host {
   public:
    virtual ~Host() = default;
    virtual broker::TopicPartition topic_partition() const = 0;
    /// The offset that the shared reader takes next.
    virtual int64_t live_next() const = 0;
    /// Makes the shared reader serve `member` from `offset` on. False when it cannot yet.
    virtual bool HandOver(const Member& member, int64_t offset) = 0;
    /// Matches the record for the members whose range holds its offset; `done` when it is written.
    virtual void MatchLagging(const broker::Record& record, const LagSession& session,
                              std::function<void()> done) = 0;
    /// Holds the shared reader while a session that is close catches up with it.
    virtual void HoldLive(bool hold) = 0;
    /// Records at the session's position are gone; it goes on at `resume_at`.
    virtual void SessionLost(const LagSession& session, int64_t from, int64_t resume_at) = 0;
    virtual void SessionMoved() = 0;
    /// Whether more may be fed to the members: false while one of them has no allowance. Told of
    /// changes by Continue.
    virtual bool MayFeed(const LagSession& session) const = 0;
    /// Something waits for the next checkpoint.
    virtual void CheckpointSoon() = 0;
  };

  LagSession(broker::Broker& broker, Loop& loop, Host& host, schema::MatchCheckpoint::Session state,
             OffsetTracker::Limits limits, bool durable);
  ~LagSession() override;

  /// Opens the reader. Only once the session is durable: after a crash the same records must come
  /// again under the same stream id.
  void Start();
  /// Closes the reader; Start goes on where it stopped.
  void Park();
  bool started() const { return reader_ != nullptr; }
  SteadyTime started_at() const { return started_at_; }
  /// Goes on after members got allowance.
  void Continue();
  bool durable() const { return durability_ == Durability::kDurable; }
  /// Not in any snapshot yet: members may still join.
  bool fresh() const { return durability_ == Durability::kFresh; }

  /// Adds a member; the session must be fresh.
  void Join(Member member);
  /// Stops serving a member at next(), or at `no_sooner` when that is later; answers the offset.
  /// The session stands still until that is durable: read again after a crash, its records must
  /// have the same targets.
  std::optional<int64_t> Leave(const Uuid& subscription, int64_t no_sooner);
  /// Forgets a member whose subscription is gone.
  void Drop(const Uuid& subscription);

  const std::vector<Member>& members() const { return members_; }
  const Uuid& stream() const { return stream_; }
  /// Every offset below was matched for the members whose range holds it.
  int64_t next() const { return seen_; }
  /// All that the member gets of this session is written.
  bool Wrote(const Member& member) const;
  /// Every member was handed over or left, and all that was read for them is written.
  bool finished() const;
  schema::MatchCheckpoint::Session Snapshot();
  /// The last snapshot is durable.
  void Saved();

 private:
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override;

  void Process();
  void Take(broker::Record record);
  void HandOverIfMet();
  void LetLiveGo();
  bool open() const;      // some member has no end yet
  bool read_all() const;  // nothing is left to read for any member
  void PaceReader();

  enum class Durability { kFresh, kSaving, kDurable };

  broker::Broker& broker_;
  Loop& loop_;
  Host& host_;
  Uuid stream_;
  OffsetTracker tracker_;
  int64_t seen_;  // every offset below was delivered or does not exist
  std::vector<Member> members_;
  std::unique_ptr<broker::Reader> reader_;
  SteadyTime started_at_{};
  std::deque<broker::Record> queue_;  // read, and not taken yet
  bool paused_ = false;
  // The shared reader is held from before a hand-over until that is durable: what it would match
  // for the member before then would come again, after a crash, under our stream id.
  bool holding_ = false;
  Durability durability_ = Durability::kFresh;
  Durability hand_over_ = Durability::kDurable;
  Durability leaving_ = Durability::kDurable;
  TimerId retry_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
