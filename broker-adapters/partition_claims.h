#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::broker {

/// The partitions that a group gave to its member, for an owner that keeps a durable state of each
/// (DESIGN section 3). From their assignment until they are read: claimed in the owner's store,
/// which raises their epoch, so that no owner before can save any more, then started where the
/// state says. A claim that failed is made again. So is one after which somebody else claimed the
/// partition, for as long as the group says that it is ours. One owner.
class PartitionClaims {
 public:
  struct Options {
    Duration retry = std::chrono::milliseconds(500);
    /// A member that the group has not heard of for longer, which is its session timeout, may own
    /// nothing any more: it claims nothing again, or it would shut the owner out.
    Duration membership_limit = std::chrono::seconds(6);
  };
  /// Claims in the store. Whatever comes of it, each partition is to be passed to Start or to
  /// Again, with the same generation.
  using Claim = std::function<void(std::vector<TopicPartition> partitions, uint64_t generation)>;

  PartitionClaims(Loop& loop, GroupConsumer& consumer, Options options, Claim claim);

  /// GroupConsumer::Listener::OnAssigned.
  void Assigned(const std::vector<TopicPartition>& partitions, uint64_t generation);
  /// They are given back, or lost: what was claimed of them meanwhile is to be ignored.
  void Dropped(const std::vector<TopicPartition>& partitions);
  /// Somebody claimed a partition after us. Each time it takes twice as long until we claim it
  /// again, up to the membership limit: two that both believe to own it leave each other time.
  void ShutOut(const TopicPartition& partition);

  /// The claim is still to be made: the partition was not dropped, nor assigned anew, meanwhile.
  bool Wants(const TopicPartition& partition, uint64_t generation) const;
  /// The partition is claimed, and is read from `offset` on. Ignored when it is not wanted.
  void Start(const TopicPartition& partition, int64_t offset, uint64_t generation);
  /// They could not be claimed, and are claimed again in a while.
  void Again(std::vector<TopicPartition> partitions, uint64_t generation);

  /// Something was assigned, whatever came of it.
  bool assigned_once() const { return assigned_once_; }
  /// Something that is ours is not read yet.
  bool claiming() const;

 private:
  struct Assignment {
    uint64_t generation = 0;
    bool claiming = true;
    bool started = false;
    int shut_out = 0;  // times
  };

  void Later(Duration delay, std::vector<TopicPartition> partitions, uint64_t generation);
  void Make(std::vector<TopicPartition> partitions, uint64_t generation);

  Loop& loop_;
  GroupConsumer& consumer_;
  Options options_;
  Claim claim_;
  std::map<TopicPartition, Assignment> assigned_;
  bool assigned_once_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch::broker
