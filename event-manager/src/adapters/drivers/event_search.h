#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch {

/// Whether an event with this id is in a topic, among the records that were written at or after a
/// time: who takes a driver over learns what its last owner still got done. Reads to the end that
/// the topic has now. One use.
class EventSearch : public broker::Reader::Listener {
 public:
  using Done = std::function<void(Result<bool>)>;

  EventSearch(broker::Broker& broker, Loop& loop, std::string topic, std::string id)
      : broker_(broker), loop_(loop), topic_(std::move(topic)), id_(std::move(id)) {}

  /// `done` runs once, later; not after the end of this object.
  void Start(int64_t since_ms, Done done);

 private:
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override;
  void Finish(Result<bool> outcome);

  broker::Broker& broker_;
  Loop& loop_;
  const std::string topic_;
  const std::string id_;
  Done done_;
  std::unique_ptr<broker::Reader> reader_;
  std::set<int32_t> open_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
