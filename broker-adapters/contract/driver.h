#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::broker::contract {

/// What runs the suite on one kind of broker.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual Loop& loop() = 0;
  virtual std::unique_ptr<Broker> Connect(const std::string& client_id) = 0;
  /// Runs the loop until `done` holds or `limit` passed. True when it held.
  virtual bool RunUntil(const std::function<bool()>& done,
                        Duration limit = std::chrono::seconds(30)) = 0;
  /// Runs the loop for that long: to see that nothing happens.
  void RunFor(Duration span) {
    (void)RunUntil([] { return false; }, span);
  }
};

/// The deterministic cluster on simulated time.
std::unique_ptr<Driver> NewMemoryDriver();
/// Kafka at DISPATCH_TEST_KAFKA_BROKERS on real time; null when that is not set.
std::unique_ptr<Driver> NewKafkaDriver();

}  // namespace dispatch::broker::contract
