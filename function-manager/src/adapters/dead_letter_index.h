#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// Builds the table `dead_letters` from `dispatch.dead-letters`, and from nothing else: rows and
/// the log position that they reach are one transaction, so after any crash none is missing and a
/// repeat is one row. What users removed stays away, also when the table is built anew. A member of
/// a group of its own. One owner.
class DeadLetterIndex : private broker::GroupConsumer::Listener {
 public:
  DeadLetterIndex(broker::Broker& broker, Loop& loop, pg::Pool& pool);
  ~DeadLetterIndex() override;

  void Start();
  void Stop(std::function<void()> stopped);

 private:
  struct Owned {
    std::vector<broker::Record> waiting;
    bool writing = false;
    bool paused = false;
  };

  void OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                  uint64_t generation) override;
  void OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                 std::function<void()> release) override;
  void OnLost(const std::vector<broker::TopicPartition>& partitions) override;
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void ReadPositions(std::vector<broker::TopicPartition> partitions, uint64_t generation);
  void Write(int32_t partition);
  void Expire();

  broker::Broker& broker_;
  Loop& loop_;
  pg::Pool& pool_;
  std::unique_ptr<broker::GroupConsumer> consumer_;
  std::map<int32_t, Owned> owned_;
  uint64_t generation_ = 0;
  TimerId expiry_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
