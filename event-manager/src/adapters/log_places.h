#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "event-manager/src/domain/object_requests.h"

namespace dispatch {

/// Where a place is in a topic: an offset for each of its partitions. One owner.
class LogPlaces {
 public:
  using Boundaries = std::vector<int64_t>;
  using Done = std::function<void(Result<Boundaries>)>;

  LogPlaces(broker::Broker& broker, Loop& loop) : broker_(broker), loop_(loop) {}

  /// Tries again for a moment when Kafka does not know the partitions' leaders yet, as just after a
  /// topic was made. Below the log's beginning is its beginning; kUnprocessable for offsets of
  /// another number than there are partitions.
  void Find(const std::string& kafka_topic, const StartAt& start, Done done, int tries = 30);

 private:
  void Ask(const std::string& kafka_topic, const StartAt& start, Done done);

  broker::Broker& broker_;
  Loop& loop_;
};

}  // namespace dispatch
