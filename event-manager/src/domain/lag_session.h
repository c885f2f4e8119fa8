#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/offset_tracker.h"
#include "event-manager/src/domain/grant.h"
#include "event-manager/src/domain/lost_offsets.h"
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
    /// Where the member's subscription ends, which is a replay; kForever for others.
    virtual int64_t EndOf(const Member& member) const = 0;
    /// The session read all for the member, up to its end.
    virtual void Ended(const Member& member, int64_t end) = 0;
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
    /// Whether one more record may be taken now, beside what is live; if not, `again` runs when
    /// it is to be asked once more.
    virtual bool TakeTurn(std::function<void()> again) = 0;
    virtual const GrantLimits& grants() const = 0;
    /// The partition is ours, as far as the group has told us lately. The reader is no member of
    /// the group: it would read on when somebody else owns the partition.
    virtual bool MayRead() const = 0;
    /// Something waits for the next checkpoint.
    virtual void CheckpointSoon() = 0;
  };

  /// `reach`: nothing at or above was written by an owner before us; 0 for a session that is new.
  LagSession(broker::Broker& broker, Loop& loop, Host& host, schema::MatchCheckpoint::Session state,
             OffsetTracker::Limits limits, bool durable, int64_t reach);
  ~LagSession() override;

  /// Opens the reader. Only once the session is durable: after a crash the same records must come
  /// again under the same stream id.
  void Start();
  /// Closes the reader; Start goes on where it stopped.
  void Park();
  bool started() const { return reader_ != nullptr; }
  SteadyTime started_at() const { return started_at_; }
  /// When a record was taken last, or the reader was opened.
  SteadyTime fed_at() const { return fed_at_; }
  /// Goes on after members got allowance.
  void Continue();
  bool durable() const { return durability_ == Durability::kDurable; }
  /// Not in any snapshot yet: members may still join.
  bool fresh() const { return durability_ == Durability::kFresh; }

  /// Adds a member; the session must be fresh.
  void Join(Member member);
  /// Stops serving a member as soon as may be, or at `no_sooner` when that is later; answers the
  /// offset. What we, or an owner before us, may have written for it comes first: read again after
  /// a crash, records must have the same targets, so the session stands still until this is
  /// durable.
  std::optional<int64_t> Leave(const Uuid& subscription, int64_t no_sooner);
  /// Stops serving a generation that is over as soon as may be, also where it has an end already.
  void Cut(const Uuid& subscription);
  /// Forgets a member whose subscription is gone.
  void Drop(const Uuid& subscription);

  /// By subscription.
  const std::vector<Member>& members() const { return members_; }
  const Uuid& stream() const { return stream_; }
  /// Every offset below was matched for the members whose range holds it.
  int64_t next() const { return seen_; }
  /// The generation of the subscription that is served at an offset.
  std::optional<int32_t> Serves(const Uuid& subscription, int64_t offset) const;
  /// A member without an end yet.
  bool HasOpen(const Uuid& subscription) const;
  /// Something is left to write for the subscription.
  bool Owes(const Uuid& subscription, int32_t generation) const;
  /// Members that have no end yet.
  size_t open() const { return open_; }
  /// How many of these offsets are not matched.
  int64_t NotComplete(int64_t first, int64_t last) const {
    return dispatch::NotComplete(tracker_, first, last);
  }
  /// Nothing is left to read for the members that have an end.
  bool closed_are_read() const { return last_wanted_ <= seen_; }
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
  void ProcessSoon();
  bool MayWrite() const;
  bool TakeTurn();
  void Take(broker::Record record);
  void HandOverIfMet();
  void EndMembers();
  void LetLiveGo();
  void LookAgain(const broker::TopicPartition& partition, Duration delay);
  bool read_all() const { return open_ == 0 && closed_are_read(); }
  bool Wrote(const Member& member) const;
  std::pair<size_t, size_t> RangeOf(const Uuid& subscription) const;
  void MembersChanged();
  void PaceReader();

  enum class Durability { kFresh, kSaving, kDurable };

  broker::Broker& broker_;
  Loop& loop_;
  Host& host_;
  Uuid stream_;
  OffsetTracker tracker_;
  int64_t seen_;  // every offset below was delivered or does not exist
  std::vector<Member> members_;
  size_t open_ = 0;
  int64_t first_wanted_ = 0;  // the least offset that some member wants
  int64_t last_wanted_ = 0;   // and the end of the last range that has one
  int64_t first_end_ = 0;     // of the replays among the open members
  // Records at or above are not taken before a checkpoint grants them: so the next owner knows what
  // we may have written at most.
  int64_t granted_;
  int64_t granting_;
  int64_t grant_from_;  // where seen_ was at the last snapshot
  int64_t reach_;       // what owners before us may have written ends here
  std::unique_ptr<broker::Reader> reader_;
  SteadyTime started_at_{};
  SteadyTime fed_at_{};
  std::deque<broker::Record> queue_;  // read, and not taken yet
  size_t queued_bytes_ = 0;
  bool processing_ = false;
  bool process_posted_ = false;
  bool awaits_turn_ = false;
  bool paused_ = false;
  // The shared reader is held from before a hand-over until that is durable: what it would match
  // for the member before then would come again, after a crash, under our stream id.
  bool holding_ = false;
  Durability durability_ = Durability::kFresh;
  Durability hand_over_ = Durability::kDurable;
  Durability leaving_ = Durability::kDurable;
  TimerId retry_ = kNoTimer;
  TimerId range_retry_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
