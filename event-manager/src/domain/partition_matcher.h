#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/offset_tracker.h"
#include "event-manager/src/domain/allowance.h"
#include "event-manager/src/domain/gap_probe.h"
#include "event-manager/src/domain/grant.h"
#include "event-manager/src/domain/invocation_writer.h"
#include "event-manager/src/domain/lag_session.h"
#include "event-manager/src/domain/match_index.h"
#include "event-manager/src/domain/match_store.h"

namespace dispatch {

/// A topic with the index of its subscriptions, shared by its partitions on this instance.
struct TopicEntry {
  schema::Topic topic;
  MatchIndex index;
};

/// Matches one event partition: the shared read of live subscriptions, the cursors of all, and the
/// lagging sessions of those that are behind. Lives as long as the assignment. One owner.
class PartitionMatcher : private LagSession::Host {
 public:
  /// What a matcher needs of its engine.
  class Engine {
   public:
    virtual ~Engine() = default;
    virtual broker::Broker& broker() = 0;
    virtual Loop& loop() = 0;
    virtual InvocationWriter& writer() = 0;
    virtual const Tracer* tracer() const = 0;
    /// One of the few places for lagging readers of the instance, or false: ask again later.
    virtual bool TakeSessionSlot() = 0;
    virtual void ReturnSessionSlot() = 0;
    /// Somebody asked for one in vain.
    virtual bool session_slots_wanted() const = 0;
    virtual Allowance& allowance() = 0;
    /// As LagSession::Host::TakeTurn.
    virtual bool TakeTurn(std::function<void()> again) = 0;
    virtual const GrantLimits& grants() const = 0;
    /// The group has confirmed us lately: else somebody else may own what was ours.
    virtual bool confirmed() const = 0;
    /// Pauses or resumes fetching of the partition.
    virtual void SetPaused(const broker::TopicPartition& partition, bool paused) = 0;
    /// Saves a checkpoint without waiting for the interval.
    virtual void CheckpointSoon() = 0;
    /// Retention took so many offsets of the partition, since the subscription is there, before
    /// they were read for it. Told again by every owner.
    virtual void TellLost(const schema::Subscription& subscription, const PartitionId& partition,
                          int64_t lost) = 0;
  };

  PartitionMatcher(Engine& engine, const TopicEntry& topic, PartitionState state);
  ~PartitionMatcher() override;

  /// Where the shared reader starts.
  int64_t position() const { return tracker_.Position(); }
  const PartitionId& id() const { return id_; }
  int64_t epoch() const { return epoch_; }

  void OnRecord(const broker::Record& record);
  /// The shared reader's position left the log: count what live subscriptions lost, go on at
  /// `earliest`. False while what was read before is under way: tell it again soon.
  bool OnLost(int64_t earliest);

  /// A subscription of the topic is new or changed.
  void Reconcile(const CompiledSubscription& subscription);
  void Remove(const Uuid& subscription);
  /// Now and then: looks at who has allowance, opens lagging readers that waited, and pauses or
  /// resumes fetching.
  void Tend();

  /// The partition is about to be given back: takes no record any more.
  void StopReading() { stopped_ = true; }

  bool dirty() const { return dirty_; }
  void MarkDirty() { dirty_ = true; }
  /// The state to save. `Saved` tells that it is durable; until then changes are kept.
  PartitionSave Snapshot();
  void Saved();

  const Cursor* cursor(const Uuid& subscription) const;
  int64_t matched(const Uuid& subscription) const;
  size_t sessions() const { return sessions_.size(); }
  /// No live subscription can go on.
  bool waiting() const { return waiting_; }

 private:
  /// Those beside the ones without allowance.
  struct Others {
    bool any = false;
    bool plenty = false;  // of one of them
    void Add(bool has_plenty) {
      any = true;
      plenty = plenty || has_plenty;
    }
    /// Without the ones that have no allowance.
    bool go_on(bool patience_is_over) const { return plenty || (any && patience_is_over); }
  };
  struct Counter {
    schema::MatchCheckpoint::Matched total;
    int64_t charged = 0;  // matched, or being written
    Allowance::Account* account = nullptr;
  };

  struct Faulty {
    Uuid subscription;
    cesql::ErrorSet errors;
  };

  // LagSession::Host
  broker::TopicPartition topic_partition() const override;
  int64_t live_next() const override { return std::max(next_, reach_); }
  bool HandOver(const LagSession::Member& member, int64_t offset) override;
  int64_t EndOf(const LagSession::Member& member) const override;
  void Ended(const LagSession::Member& member, int64_t end) override;
  bool MayFeed(const LagSession& session) const override;
  void MatchLagging(const broker::Record& record, const LagSession& session,
                    std::function<void()> done) override;
  bool TakeTurn(std::function<void()> again) override { return engine_.TakeTurn(std::move(again)); }
  const GrantLimits& grants() const override { return engine_.grants(); }
  bool MayRead() const override { return !stopped_ && engine_.confirmed(); }
  void HoldLive(bool hold) override;
  void SessionLost(const LagSession& session, int64_t from, int64_t resume_at) override;
  void SessionMoved() override {
    dirty_ = true;
    SessionChanged();
  }
  void CheckpointSoon() override {
    dirty_ = true;
    engine_.CheckpointSoon();
  }

  Counter& CounterOf(const Uuid& subscription, int32_t generation);
  void CountLost(const Uuid& subscription, int32_t generation, int64_t offsets);
  void TellLost(const Uuid& subscription);
  void GiveUpUnknown();
  void Balance();
  void BalanceSession(LagSession& session);
  void FallBehind(Cursor& cursor);
  void StartSessions();
  /// Looks whether the log holds anything from next_ on, when no record has come for a while.
  void Probe();
  void ParkIfOthersWait(LagSession& session);
  /// By how much is under way here and in the writer.
  void Pace();
  void SessionChanged();
  void Take(const broker::Record& record);
  void TakeHeld();
  void AskForGrant();
  void CountFaulty(const std::vector<Faulty>& faulty, int64_t offset);
  template <typename Wanted>
  void Match(const broker::Record& record, const Uuid& stream, const Wanted& wanted,
             std::function<void()> done);
  void Begin(Cursor& cursor, int64_t start);
  void AddToSession(const Cursor& cursor, int64_t start);
  bool MayFollow(const LagSession& session) const;
  void AddSession(schema::MatchCheckpoint::Session state, bool durable, int64_t reach);
  void Retire(const Cursor& cursor);
  std::optional<int32_t> ServesLive(const Uuid& subscription, int64_t offset) const;
  bool InSession(const Uuid& subscription, int32_t generation, const LagSession* before) const;
  bool held(int64_t offset) const {
    return holds_ > 0 || waiting_ || stopped_ || offset >= granted_;
  }
  void PauseCursor(Cursor& cursor, int64_t no_sooner);
  void ResumeCursor(Cursor& cursor);
  void Changed(const Cursor& cursor);
  bool change_pending() const { return !changed_.empty() || !saving_changed_.empty(); }
  void ReapSessions();

  Engine& engine_;
  const TopicEntry& topic_;
  PartitionId id_;
  int64_t epoch_;
  OffsetTracker tracker_;
  int64_t next_;  // what the shared reader takes next
  // Below this an owner before us may have written invocations for whom its cursors said were live:
  // for those the shared read goes on up to here, or it would come again in a session; nobody else
  // becomes live below, or function-manager would take it for a repeat.
  int64_t reach_ = 0;
  // Records at or above are not taken before a checkpoint grants them (grant.h).
  int64_t granted_ = 0;
  int64_t granting_ = 0;
  int64_t grant_from_ = 0;  // where next_ was at the last snapshot
  std::vector<schema::MatchCheckpoint::Retired> retired_;
  std::unordered_map<Uuid, Cursor> cursors_;
  std::unordered_map<Uuid, Counter> counters_;
  std::vector<std::unique_ptr<LagSession>> sessions_;
  std::unordered_set<Uuid> changed_;
  std::unordered_set<Uuid> removed_;
  std::unordered_set<Uuid> saving_changed_;
  std::unordered_set<Uuid> saving_removed_;
  std::vector<const CompiledSubscription*> hits_;  // kept for its storage
  std::vector<MatchIndex::Fault> faults_;          // and so
  int holds_ = 0;
  bool change_hold_ = false;
  std::deque<broker::Record> held_;  // came while the shared reader was held; in order
  bool paused_ = false;
  bool waiting_ = false;
  bool stopped_ = false;
  uint64_t balanced_ = 0;  // the allowance's changes() when we looked last
  // With cursors, and not told of yet: an instance may learn of a subscription later than its owner
  // before. Until then nothing is read, or it would lose what is read.
  std::unordered_set<Uuid> unknown_;
  SteadyTime claimed_at_;
  bool dirty_ = false;
  bool reap_posted_ = false;
  bool ending_ = false;
  bool waiting_for_order_ = false;  // some session is not started yet for that reason
  SteadyTime last_taken_;
  std::unique_ptr<GapProbe> probe_;
  SteadyTime probed_at_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
