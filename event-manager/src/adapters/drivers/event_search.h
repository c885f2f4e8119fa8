#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch {

/// Whether an event with this id is in a topic, among the records of a span of time: who takes a
/// driver over learns what its last owner still got done. One use.
class EventSearch : public broker::Reader::Listener {
 public:
  using Done = std::function<void(Result<bool>)>;

  EventSearch(broker::Broker& broker, Loop& loop, std::string topic, std::string id)
      : broker_(broker), loop_(loop), topic_(std::move(topic)), id_(std::move(id)) {}

  /// Reads what was written from `since_ms` until `until_ms`, or the end that the topic has now.
  /// `done` runs once, later; not after the end of this object. kDeadlineExceeded: nothing came for
  /// too long.
  void Start(int64_t since_ms, int64_t until_ms, Done done);

 private:
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override;
  void Offsets(int64_t time_ms, std::function<void(std::vector<int64_t>)> then);
  void Read(const std::vector<int64_t>& begins, const std::vector<int64_t>& ends);
  void Passed(int32_t partition, int64_t next_offset);
  void Watch();
  void Finish(Result<bool> outcome);

  broker::Broker& broker_;
  Loop& loop_;
  const std::string topic_;
  const std::string id_;
  Done done_;
  std::unique_ptr<broker::Reader> reader_;
  std::map<int32_t, int64_t> ends_;  // of the partitions that are not yet read to there
  SteadyTime heard_{};
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
