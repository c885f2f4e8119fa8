#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::broker {

/// A whole Kafka cluster in memory, deterministic on the loop it is given (simulated or real): logs
/// with offsets and gaps, leaders, groups with rebalances (revoke, then assign; members that miss
/// the session are thrown out and *lost*), generations, committed offsets, compaction, retention.
/// It outlives its brokers: a crash of a service is the destruction of what it made here.
class MemoryCluster {
 public:
  struct Faults {
    double produce_fail = 0;      // chance that a produce times out and is not written
    double produce_lost_ack = 0;  // written, but reported as timed out
    Duration min_latency{0};      // of each ack and fetch
    Duration max_latency{0};
    double offset_gap = 0;  // chance of a gap (control record) before a record
  };

  MemoryCluster(Loop& loop, uint64_t seed);
  ~MemoryCluster();

  /// A connection, as one service process has one. Destroying it drops its members without leaving
  /// the group: they time out after `session_timeout`.
  std::unique_ptr<Broker> Connect(std::string client_id);

  void set_faults(Faults faults);
  void set_session_timeout(Duration timeout);
  /// While down, every call fails with kUnavailable or waits, as with a stopped broker.
  void set_down(bool down);
  /// The connection of that client neither sends nor receives (SIGSTOP, network partition).
  void set_partitioned(const std::string& client_id, bool partitioned);
  /// Compacts and applies retention: records below `offset` are gone.
  void Truncate(const TopicPartition& partition, int64_t offset);
  void Compact(const std::string& topic);
  /// Takes all members of the group through a rebalance.
  void Rebalance(const std::string& group);

  /// What is in the log, for checkers.
  std::vector<Record> Log(const TopicPartition& partition) const;
  int32_t Partitions(const std::string& topic) const;
  int64_t Committed(const std::string& group, const TopicPartition& partition) const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::broker
