#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker-adapters/memory/memory_broker.h"

namespace dispatch::broker::memory {

/// The coordinator's side of one consumer group, after KIP-848: it decides on a target for each
/// member; members come (Sync) to hand back what is not theirs any more and to take what is free. A
/// partition has one owner at a time.
class Group {
 public:
  using MemberId = uint64_t;
  using Partitions = std::vector<TopicPartition>;
  static constexpr MemberId kNone = 0;

  explicit Group(MemoryCluster::Impl& cluster) : cluster_(cluster) {}

  /// `nudge` tells the member's process that there may be something for it to Sync.
  MemberId Join(const std::string& client, const std::string& instance,
                std::set<std::string> topics, std::function<void()> nudge);
  void Subscribe(MemberId id, std::set<std::string> topics);
  void Leave(MemberId id);
  /// The process is gone: the member stays until its session ends.
  void Crash(MemberId id);
  bool Has(MemberId id) const { return members_.contains(id); }
  bool HasInstance(const std::string& instance) const;

  /// Takes note of what the member still owns, tells what it must hand back and, if that is
  /// nothing, gives it what is free of its target (now owned by it).
  void Sync(MemberId id, const std::set<TopicPartition>& owned, Partitions& revoke,
            Partitions& assign);

  /// How long ago the coordinator heard of the member; Duration::max() for strangers.
  Duration Age(MemberId id) const;

  void Commit(MemberId id, const TopicPartition& tp, int64_t offset);
  int64_t Committed(const TopicPartition& tp) const;
  GroupInfo Describe() const;
  std::vector<GroupOffset> Offsets() const;

  void ReachabilityChanged();
  void TopicsChanged() { Retarget(); }
  void Rebalance();

 private:
  struct Member {
    std::string client;
    std::string instance;
    std::set<std::string> topics;
    std::function<void()> nudge;
    std::set<TopicPartition> owned;
    std::set<TopicPartition> target;
    SteadyTime joined;
    SteadyTime last_beat;  // while it is silent
    bool crashed = false;
    bool silent = false;
    TimerId expiry = kNoTimer;
  };

  Duration BeatAge(const Member& member) const;
  void Watch(MemberId id, Member& member);
  void Expel(MemberId id);
  void Retarget();
  void FinishDraining();
  Partitions Subscribed() const;
  void NudgeAll();

  MemoryCluster::Impl& cluster_;
  std::map<MemberId, Member> members_;
  std::map<TopicPartition, MemberId> owners_;
  std::map<TopicPartition, int64_t> committed_;
  MemberId next_id_ = 1;
  bool draining_ = false;  // everybody hands back everything first
  size_t rotation_ = 0;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch::broker::memory
