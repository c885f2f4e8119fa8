#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch {

/// When the record at an offset was published, read from the log and kept: a subscription that
/// stands still costs one read, not one a look. At most `kReads` are read at a time. One owner.
class RecordTimes : private broker::Reader::Listener {
 public:
  static constexpr size_t kReads = 64;
  static constexpr Duration kLimit = std::chrono::milliseconds(1'500);

  RecordTimes(broker::Broker& broker, Loop& loop) : broker_(broker), loop_(loop) {}
  ~RecordTimes() override;

  /// The timestamp of the first record at `offset` or later. Nothing when there is none, or when it
  /// cannot be read in time.
  using Done = std::function<void(std::optional<int64_t>)>;
  void Find(const broker::TopicPartition& partition, int64_t offset, Done done);

 private:
  struct Wanted {
    int64_t offset = 0;
    Done done;
    SteadyTime until;
  };
  static constexpr size_t kKept = 4;  // of a partition: the shared position and some others

  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override;
  void Read(const broker::TopicPartition& partition);
  void Answer(const broker::TopicPartition& partition, int64_t reached,
              std::optional<int64_t> time);
  void Watch();

  broker::Broker& broker_;
  Loop& loop_;
  std::unique_ptr<broker::Reader> reader_;
  std::unordered_map<broker::TopicPartition, std::list<std::pair<int64_t, int64_t>>> known_;
  std::unordered_map<broker::TopicPartition, std::vector<Wanted>> wanted_;  // one read each
  TimerId watch_ = kNoTimer;
  TimerId rest_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
