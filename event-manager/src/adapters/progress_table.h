#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "common/uuid.h"
#include "event-manager/src/domain/lag_figures.h"
#include "schema/messages.h"

namespace dispatch {

/// What function-manager tells of its progress on `dispatch.progress`, read from the beginning. One
/// owner.
class ProgressTable : private broker::Reader::Listener {
 public:
  ProgressTable(broker::Broker& broker, Loop& loop);
  ~ProgressTable() override;

  void Start();
  bool ready() const { return reader_ != nullptr && at_end_ >= partitions_; }

  /// A subscription's sums over all invocations partitions.
  using Sum = ProgressSum;
  Sum Of(const Uuid& subscription) const;
  /// As told last, by whichever instance.
  schema::Circuit CircuitOf(const Uuid& subscription) const;
  /// Set before Start.
  void OnChanged(std::function<void(const Uuid& subscription, const Sum& sum)> changed) {
    changed_ = std::move(changed);
  }

 private:
  void OnRecords(std::vector<broker::Record> records) override;
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override;
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override;
  void Open();

  broker::Broker& broker_;
  Loop& loop_;
  std::function<void(const Uuid&, const Sum&)> changed_ = [](const Uuid&, const Sum&) {};
  std::unique_ptr<broker::Reader> reader_;
  int32_t partitions_ = 1;
  int32_t at_end_ = 0;
  std::unordered_map<int32_t, bool> ended_;
  std::unordered_map<Uuid, std::unordered_map<int32_t, schema::Progress>> table_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
