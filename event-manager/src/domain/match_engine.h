#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/checkpoint_loop.h"
#include "broker-adapters/gapless_producer.h"
#include "broker-adapters/partition_claims.h"
#include "common/metrics.h"
#include "event-manager/src/domain/catch_up_pace.h"
#include "event-manager/src/domain/invocation_writer.h"
#include "event-manager/src/domain/match_store.h"
#include "event-manager/src/domain/partition_matcher.h"

namespace dispatch {

/// The data plane of event-manager: a member of the one consumer group that reads every event topic
/// once, with a matcher for each partition that it owns, and the checkpoints of all of them in one
/// transaction at most every 100 ms. Told of topics and subscriptions by whoever follows the state
/// topic. Lives on one loop; may be destroyed at any time (that is a crash).
class MatchEngine : private broker::GroupConsumer::Listener,
                    private broker::CheckpointLoop::Host,
                    private PartitionMatcher::Engine {
 public:
  struct Options {
    std::string group = "dispatch.event-manager";
    std::string instance_id;
    int32_t invocations_partitions = 16;
    Duration checkpoint_interval = std::chrono::milliseconds(100);
    Duration claim_retry = std::chrono::milliseconds(500);
    int max_sessions = 4;
    Allowance::Limits allowance;
    GrantLimits grants;
    CatchUpPace::Limits catch_up;
    Duration others_interval = std::chrono::seconds(1);
    Duration membership_limit = std::chrono::seconds(6);  // the group's session timeout
    const Tracer* tracer = nullptr;
  };

  MatchEngine(broker::Broker& broker, Loop& loop, MatchStore& store, Options options);
  ~MatchEngine() override;

  void PutTopic(const schema::Topic& topic);
  void RemoveTopic(const Uuid& topic);
  void PutSubscription(schema::Subscription subscription);
  void RemoveSubscription(const Uuid& subscription);

  /// What function-manager settled of a subscription, and its circuit.
  void SetSettled(const Uuid& subscription, int64_t settled, int64_t scheduled,
                  const schema::Circuit& circuit) {
    allowance_.SetSettled(subscription, settled, scheduled, circuit);
  }

  /// Told what retention took before it was read, in all, of a subscription in a partition: again
  /// with every loss and by every owner.
  using Lost = std::function<void(const schema::Subscription& subscription,
                                  const PartitionId& partition, int64_t lost)>;
  void OnLost(Lost lost) { lost_ = std::move(lost); }

  /// Joins the group. Call when topics, subscriptions and what was settled are known, so
  /// that none is missed.
  void Start();
  /// Saves a last checkpoint, leaves the group, then runs `stopped`.
  void Stop(std::function<void()> stopped);

  /// Joined, and every partition that is ours is being read.
  bool ready() const;
  size_t partitions() const { return matchers_.size(); }
  const PartitionMatcher* FindMatcher(const Uuid& topic, int32_t partition) const;

 private:
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

  // PartitionMatcher::Engine
  broker::Broker& broker() override { return broker_; }
  Loop& loop() override { return loop_; }
  InvocationWriter& writer() override { return writer_; }
  const Tracer* tracer() const override { return options_.tracer; }
  bool TakeSessionSlot() override;
  void ReturnSessionSlot() override;
  bool session_slots_wanted() const override { return slots_wanted_; }
  Allowance& allowance() override { return allowance_; }
  bool TakeTurn(std::function<void()> again) override;
  const GrantLimits& grants() const override { return options_.grants; }
  bool confirmed() const override {
    return consumer_->membership_age() <= options_.membership_limit;
  }
  void SetPaused(const broker::TopicPartition& partition, bool paused) override;
  void CheckpointSoon() override { checkpoints_->SaveSoon(); }
  void TellLost(const schema::Subscription& subscription, const PartitionId& partition,
                int64_t lost) override {
    if (lost_) lost_(subscription, partition, lost);
  }

  void Claim(const std::vector<broker::TopicPartition>& partitions, uint64_t generation);
  void ReadEnds(const std::vector<broker::TopicPartition>& partitions, uint64_t generation,
                std::vector<PartitionState> states);
  void Claimed(const std::vector<broker::TopicPartition>& partitions, uint64_t generation,
               std::vector<PartitionState> states);
  void Match(const std::vector<broker::Record>& records);
  void ForgetDoubtful(const std::vector<broker::TopicPartition>& partitions);
  void GiveTurns();
  void TendSoon();
  void TendAll();
  void ReadOthers();
  void SetOthers(const std::vector<PartitionMatched>& all);
  void Subscribe();
  TopicEntry* FindTopic(const std::string& kafka_name);

  broker::Broker& broker_;
  Loop& loop_;
  MatchStore& store_;
  Options options_;
  broker::GaplessProducer producer_;
  InvocationWriter writer_;
  Allowance allowance_;
  CatchUpPace pace_;
  std::deque<std::function<void()>> turns_;  // lagging readers that wait for one
  TimerId turns_timer_ = kNoTimer;
  metrics::Gauge rate_gauge_;
  Lost lost_;
  std::map<std::string, std::unique_ptr<TopicEntry>> topics_;  // by Kafka name
  std::unordered_map<Uuid, std::string> topic_names_;
  std::unordered_map<Uuid, std::pair<Uuid, std::string>> subscriptions_;  // -> topic
  std::unique_ptr<broker::GroupConsumer> consumer_;
  std::unordered_map<broker::TopicPartition, std::unique_ptr<PartitionMatcher>> matchers_;
  std::unique_ptr<broker::PartitionClaims> claims_;            // with the consumer
  std::unique_ptr<broker::CheckpointLoop> checkpoints_;        // with the consumer
  std::map<Uuid, std::vector<schema::Subscription>> orphans_;  // their topic is not known yet
  int session_slots_;
  bool slots_wanted_ = false;
  SteadyTime others_at_{};                // when what other instances matched was asked for last
  std::vector<broker::Record> doubtful_;  // came while the group had not confirmed us for long
  bool tend_posted_ = false;
  bool subscribe_posted_ = false;
  bool stopping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
