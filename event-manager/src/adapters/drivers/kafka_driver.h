#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "broker-adapters/offset_tracker.h"
#include "common/event_loop.h"
#include "common/http/address_check.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"

namespace dispatch {

/// `kafka`: the records of another topic, of our cluster or of another, become events. Where it
/// stands is saved, and then committed to its consumer group, when the events are in our topic: at
/// least once, with ids that a repeat has too. One owner.
class KafkaDriver : public RunningDriver, private broker::GroupConsumer::Listener {
 public:
  KafkaDriver(DriverHost& host, EventLoop& loop, broker::Broker& own, DriverSettings settings,
              DriverSetup setup);
  ~KafkaDriver() override;

 private:
  struct Partition {
    explicit Partition(int64_t position);
    OffsetTracker tracker;
    bool paused = false;
  };

  void OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                  uint64_t generation) override;
  void OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                 std::function<void()> release) override;
  void OnLost(const std::vector<broker::TopicPartition>& partitions) override;
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;

  void Connect();
  void RefuseOwnCluster();
  void ClusterOf(broker::Broker& broker, std::function<void(const std::string& id)> then);
  void Begin();
  void Consume();
  void Take(broker::Record record);
  void Settled(int32_t partition, int64_t offset, const Status& published);
  void Save();
  void Watch();
  void Fail(const std::string& reason);

  DriverHost& host_;
  EventLoop& loop_;
  broker::Broker& own_;
  const DriverSettings settings_;
  const DriverSetup setup_;
  http::AddressCheck addresses_;
  std::string source_;  // Kafka's topic
  std::unique_ptr<broker::Broker> other_;
  broker::Broker* broker_ = nullptr;
  std::unique_ptr<broker::GroupConsumer> consumer_;
  uint64_t generation_ = 0;
  std::map<int32_t, int64_t> saved_;  // next offset, by partition
  std::map<int32_t, Partition> partitions_;
  SteadyTime began_{};
  bool assigned_ = false;
  bool failed_ = false;
  bool saving_ = false;
  TimerId save_timer_ = kNoTimer;
  TimerId watch_timer_ = kNoTimer;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
