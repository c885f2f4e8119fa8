#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/checkpoint_loop.h"
#include "broker-adapters/partition_claims.h"
#include "function-manager/src/domain/dispatcher.h"
#include "function-manager/src/domain/invocation_partition.h"
#include "function-manager/src/domain/invoke_store.h"

namespace dispatch {

/// The data plane of function-manager: a member of the group that reads `dispatch.invocations`,
/// with the books of each partition that it owns, their checkpoints, their shards of the retry
/// store, and the progress that it tells. Lives on one loop; may be destroyed at any time (that is
/// a crash).
class Invoker : private broker::GroupConsumer::Listener,
                private broker::CheckpointLoop::Host,
                private Dispatcher::Host {
 public:
  struct Options {
    std::string group = "dispatch.function-manager";
    std::string instance_id;
    Duration checkpoint_interval = std::chrono::milliseconds(100);
    Duration progress_interval = std::chrono::milliseconds(200);
    Duration busy_interval = std::chrono::milliseconds(50);  // where many were settled since
    Duration blocking_interval = std::chrono::seconds(1);    // between looks at the ordered keys
    Duration claim_retry = std::chrono::milliseconds(500);
    Duration revoke_wait = std::chrono::seconds(3);  // for attempts under way
    OffsetTracker::Limits limits{4'096, 8 * 1024 * 1024, 1'000'000};
    // The wheel: rows due within the horizon are loaded, at most so many a partition.
    Duration wheel_interval = std::chrono::milliseconds(250);
    std::chrono::milliseconds wheel_horizon{1'000};
    size_t wheel_limit = 1'000;
    size_t wheel_bytes = 64 * 1024 * 1024;  // of events, in all partitions; of keys as many more
    // How often dead letters are looked for that redrives chose: while there is a redrive, and
    // else, for those that other instances took orders for.
    Duration redrive_interval = std::chrono::milliseconds(100);
    Duration redrive_idle_interval = std::chrono::seconds(5);
    int32_t partitions = 16;  // of dispatch.invocations; ours is the share that we own
    std::chrono::milliseconds mark_ttl = std::chrono::hours(24);
    // After an unclean start what may have ended it runs alone, for so long; twice as long after
    // each more in a row, up to the longest. They count until a partition was ours for
    // `calm_after`.
    Duration trial_budget = std::chrono::seconds(1);
    Duration longest_trial_budget = std::chrono::seconds(60);
    Duration calm_after = std::chrono::seconds(60);
    Dispatcher::Options dispatcher;
  };
  using Disable = std::function<void(const schema::Subscription&, const std::string& reason)>;

  Invoker(broker::Broker& broker, Loop& loop, InvokeStore& store, const Catalog& catalog,
          Sender& sender, AttemptLog& attempts, std::function<double()> random, Disable disable,
          Options options);
  ~Invoker() override;

  void SubscriptionChanged(const Uuid& subscription);
  /// A redrive has begun.
  void NudgeRedrives();
  void Start();
  void Stop(std::function<void()> stopped);

  /// Joined, and every partition that is ours is being read.
  bool ready() const {
    return claims_ != nullptr && claims_->assigned_once() && !claims_->claiming();
  }
  size_t partitions() const { return owned_.size(); }
  size_t in_flight() const { return dispatcher_->in_flight(); }
  const InvocationPartition* FindPartition(int32_t partition) const;

 private:
  struct Owned {
    std::shared_ptr<InvocationPartition> books;
    bool paused = false;
    bool revoking = false;
    bool loading = false;
    int64_t loaded_until_ms = 0;  // rows due before are in memory, or were settled
    bool pulled_back = false;     // loaded_until_ms went back while a load was under way
    bool leaving = false;         // its last checkpoint is to be written
    bool calm = true;
    SteadyTime since{};
    std::set<Uuid> stale;  // subscriptions with rows that nobody is to get any more, maybe
    bool stale_turn = false;
    std::unordered_map<Uuid, schema::Blocked> blocking;  // as of `blocking_at`
    SteadyTime blocking_at{};
  };

  // broker::GroupConsumer::Listener
  void OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                  uint64_t generation) override;
  void OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                 std::function<void()> release) override;
  void OnLost(const std::vector<broker::TopicPartition>& partitions) override;
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;

  // broker::CheckpointLoop::Host
  void Tend() override;
  std::vector<broker::CheckpointLoop::Part> Save(
      broker::CheckpointLoop::Answered answered) override;
  bool Saved(const broker::CheckpointLoop::Part& part,
             broker::CheckpointLoop::Outcome outcome) override;

  // Dispatcher::Host
  Duration membership_age() const override { return consumer_->membership_age(); }
  bool revoking(int32_t partition) const override;
  void DisableSubscription(const schema::Subscription& subscription,
                           const std::string& reason) override {
    disable_(subscription, reason);
  }
  void CircuitChanged(const Uuid& subscription) override;
  void NoteTrial(const DeliveryPtr& begin, std::vector<TrialRun::Noted> survived,
                 std::function<void(Status)> done) override;
  void OpenTrials(int32_t unclean_starts);
  void ShareChanged();

  void Lose(const std::vector<int32_t>& partitions);
  void Claim(const std::vector<broker::TopicPartition>& partitions, uint64_t generation);
  void Claimed(InvokeClaim claim, uint64_t generation);
  void Release(std::vector<int32_t> partitions, SteadyTime deadline, std::function<void()> release);
  void Pace(Owned& owned);
  void WheelTick();
  void LoadDue(int32_t partition);
  void NoteStale(Owned& owned, const Uuid& subscription);
  void LoadStale(int32_t partition);
  void LoadKeys(int32_t partition);
  void KeysLoaded(InvocationPartition& books, const std::vector<InvokeStore::KeyFrom>& keys,
                  InvokeStore::OfKeys of_keys);
  size_t RoomFor(const InvocationPartition& books, size_t share) const;
  void RedriveTick();
  void LettersChosen(const std::vector<std::weak_ptr<InvocationPartition>>& asked,
                     std::vector<ChosenLetter> letters);
  void ProgressTick();
  void LookForBlocking(Owned& owned);
  void BusyTick();
  /// Of the subscriptions of which at least so many more are settled than was told; 0: that
  /// changed.
  void PublishProgress(const Owned& owned, int64_t least);
  void BadRecord(const broker::Record& record, const Error& error);

  broker::Broker& broker_;
  Loop& loop_;
  InvokeStore& store_;
  const Catalog& catalog_;
  Disable disable_;
  Options options_;
  std::unique_ptr<broker::Producer> producer_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<broker::GroupConsumer> consumer_;
  std::map<int32_t, Owned> owned_;
  std::map<int32_t, int64_t> lost_;  // partitions that others took, and our epochs of them
  std::unique_ptr<broker::PartitionClaims> claims_;      // with the consumer
  std::unique_ptr<broker::CheckpointLoop> checkpoints_;  // with the consumer
  InvokeStore::SaveResult save_result_;                  // of the save that was answered last
  TimerId wheel_timer_ = kNoTimer;
  TimerId progress_timer_ = kNoTimer;
  TimerId busy_timer_ = kNoTimer;
  SteadyTime busy_until_{};
  TimerId redrive_timer_ = kNoTimer;
  bool redrives_asked_ = false;  // and not answered
  bool redrives_nudged_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
