#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "function-manager/src/domain/attempt_log.h"
#include "function-manager/src/domain/attempt_spans.h"
#include "function-manager/src/domain/catalog.h"
#include "function-manager/src/domain/delivery.h"
#include "function-manager/src/domain/invocation_partition.h"
#include "function-manager/src/domain/lane_metrics.h"
#include "function-manager/src/domain/scheduler.h"
#include "function-manager/src/domain/sender.h"
#include "function-manager/src/domain/trial_run.h"

namespace dispatch {

/// Takes deliveries to their end: attempts, retries, dead letters. Every decision about one
/// delivery is here; which is next is the scheduler's, the books are the partition's. One owner.
class Dispatcher {
 public:
  struct Options {
    Scheduler::Options scheduler;
    Duration membership_limit = std::chrono::seconds(6);
    std::chrono::milliseconds memory_wait{5'000};  // shorter retries wait in memory
    Duration sideline_after = std::chrono::seconds(10);
    Duration sideline_pressed = std::chrono::seconds(2);  // with the window half full
    std::chrono::milliseconds sideline_grace{2'000};
    std::chrono::milliseconds hog_memory{5'000};  // who had something lately shares the window
    int64_t max_rows_per_subscription = 100'000;
    int64_t max_rows_per_partition = 1'000'000;
    size_t most_rows_in_memory = 1'000;  // of a partition: what the wheel loads
    size_t max_unsaved_rows = 5'000;     // of a partition, while PostgreSQL is away
    Duration tend_interval = std::chrono::milliseconds(500);
    Duration hold_retry = std::chrono::milliseconds(100);
    std::chrono::milliseconds no_sink_delay{5'000};
    size_t batch_bytes = 1'000'000;
    TrialRun::Options trial;
    Duration late_trial = std::chrono::seconds(1);  // of one that crashed before, whenever it comes
    int32_t most_crashes = 3;  // of a delivery that runs alone: it is quarantined
    const Tracer* tracer = nullptr;
  };

  /// What the dispatcher asks of the engine.
  class Host {
   public:
    virtual ~Host() = default;
    /// How long ago the group last confirmed us: with a stale membership nothing is sent.
    virtual Duration membership_age() const = 0;
    /// The partition is being given back: no new attempts from it.
    virtual bool revoking(int32_t partition) const = 0;
    /// A subscription's endpoint answered 410: it is to be disabled, for this reason.
    virtual void DisableSubscription(const schema::Subscription& subscription,
                                     const std::string& reason) = 0;
    /// The circuit of a subscription opened, closed or is being probed.
    virtual void CircuitChanged(const Uuid& subscription) = 0;
    /// What TrialRun notes.
    virtual void NoteTrial(const DeliveryPtr& begin, std::vector<TrialRun::Noted> survived,
                           std::function<void(Status)> done) = 0;
  };

  Dispatcher(Loop& loop, Host& host, broker::Producer& dead_letters, const Catalog& catalog,
             Sender& sender, AttemptLog& attempts, std::function<double()> random, Options options);
  ~Dispatcher();

  void Take(DeliveryPtr delivery);
  /// Takes a delivery of the retry store when its time has come.
  void TakeRow(DeliveryPtr delivery, std::chrono::milliseconds delay);
  /// Makes the deliveries of dead letters of the partition pending again, but for those that are
  /// pending anyhow, or that there is no room for: they stay what they are.
  void Return(InvocationPartition& partition, const std::vector<ChosenLetter>& letters);
  /// Goes on with a key, if it is known whose turn is next.
  void Advance(InvocationPartition& partition, const KeyOrder::Key& key);
  /// Looks a changed or deleted subscription up again.
  void SubscriptionChanged(const Uuid& subscription);
  /// Moves what is stuck aside, tries what is held. Call every 100 ms or so for each partition.
  void Tend(InvocationPartition& partition);
  /// Puts the attempts of a partition that are under way into the retry store: the partition goes.
  void SidelineAll(InvocationPartition& partition);
  size_t in_flight(const InvocationPartition& partition) const;
  size_t in_flight() const { return static_cast<size_t>(scheduler_.in_flight()); }
  /// The share of dispatch.invocations that is ours, 0 to 1: rate limits are for the installation.
  void SetShare(double share) { scheduler_.SetShare(share); }
  /// Tells metrics what is queued and held back. `keys`, `blocked`: of ordered subscriptions.
  void Report(size_t keys, size_t blocked) {
    metrics_.Update(scheduler_, loop_.Steady(), keys, blocked);
  }
  /// Suspects may come: they run alone, and hold everything else up for so long at most.
  void OpenTrials(Duration budget) { trials_.Open(budget); }
  schema::Circuit CircuitOf(const Uuid& subscription);

 private:
  bool Postpone(const DeliveryPtr& delivery, InvocationPartition& partition);
  bool EnterOrder(const DeliveryPtr& delivery, InvocationPartition& partition,
                  const schema::Subscription& subscription);
  void SpillInOrder(InvocationPartition& partition, const DeliveryPtr& delivery, int64_t due_ms,
                    bool keep);
  void SpillFollower(InvocationPartition& partition, const DeliveryPtr& delivery);
  void TakeAfter(DeliveryPtr delivery, std::chrono::milliseconds delay);
  void Pump();
  bool AttemptAlone(const DeliveryPtr& delivery);
  void TrialsOver(std::vector<DeliveryPtr> left);
  void Quarantine(const DeliveryPtr& delivery, const schema::Subscription& subscription);
  void ArmWake();
  // One request: a delivery, or several of `sink.mode` batch, and the partitions they are from.
  using Sent = std::vector<std::pair<DeliveryPtr, int32_t>>;

  void Attempt(Lane& lane, DeliveryPtr delivery);
  void MeasureLag();
  void SetOff(const DeliveryPtr& delivery, Sent& sent);
  void FillBatch(Lane& lane, Sent& sent, SendRequest& request);
  void Answered(const Sent& sent, const Uuid& subscription, const Scheduler::Ticket& ticket,
                const AttemptSpans& spans, const Answer& answer);
  void Settle(const DeliveryPtr& delivery, InvocationPartition& partition,
              const schema::Subscription& subscription, const Answer& answer, Effect effect,
              const std::string& described);
  void Retry(const DeliveryPtr& delivery, const schema::Subscription& subscription,
             const Answer& answer, const std::string& described, bool counted);
  void WaitInMemory(const DeliveryPtr& delivery, std::chrono::milliseconds delay);
  void Bury(const DeliveryPtr& delivery, const std::string& subscription_name,
            const std::string& reason);
  std::optional<broker::ProduceRecord> CopyForOwnTopic(const schema::DeadLetter& letter) const;
  static void CopyRefused(const std::string& topic, const Status& status);
  void Finish(const DeliveryPtr& delivery, InvocationPartition::Outcome outcome);
  bool MaySpill(InvocationPartition& partition, const Uuid& subscription);
  bool MaySchedule(InvocationPartition& partition, const Uuid& subscription);
  void MoveAside(InvocationPartition& partition, const DeliveryPtr& delivery, Lane* lane);
  bool IsHog(InvocationPartition& partition, const Uuid& subscription, size_t waiting);
  void ThinOut(InvocationPartition& partition, Lane& lane, std::vector<DeliveryPtr> queued,
               bool hog, bool hurry, bool crowded);
  void PutBack(InvocationPartition& partition, const DeliveryPtr& delivery, Lane& lane);
  void Log(const Delivery& delivery, const schema::Subscription& subscription, const Answer& answer,
           const std::string& outcome, const std::string& message, int64_t next_ms);
  int64_t now_ms() const { return ToMillis(loop_.Now()); }

  Loop& loop_;
  Host& host_;
  broker::Producer& dead_letters_;
  const Catalog& catalog_;
  Sender& sender_;
  AttemptLog& attempts_;
  std::function<double()> random_;
  Options options_;
  Scheduler scheduler_;
  LaneMetrics metrics_;
  TrialRun trials_;
  std::unordered_map<int32_t, size_t> in_flight_by_partition_;
  bool pumping_ = false;
  bool measuring_lag_ = false;
  std::deque<DeliveryPtr> turns_;  // of keys that go on
  bool turning_ = false;
  TimerId resume_ = kNoTimer;  // after our membership was in doubt
  TimerId wake_ = kNoTimer;
  std::optional<SteadyTime> wake_at_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
