#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "common/json.h"
#include "event-manager/src/adapters/drivers/driver_store.h"
#include "event-manager/src/domain/drivers/driver_spec.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// What a driver is run with.
struct DriverSetup {
  ClaimedDriver claimed;
  DriverKind kind = DriverKind::kTicker;
  DriverConfig config;
  std::string topic;                           // Kafka's name
  std::map<std::string, std::string> secrets;  // of all its secrets, merged; in memory only
};

/// What a driver may do, for as long as its instance has its lease. Everything that it is given
/// runs on the owner's loop, and not any more once the driver is gone.
class DriverHost {
 public:
  virtual ~DriverHost() = default;

  virtual Loop& loop() = 0;
  /// Writes an event to the driver's topic. Refused (kUnavailable) when the lease might end before
  /// the outcome is known. After an error the event may be in its topic all the same.
  virtual void Publish(cloudevents::Event event, std::function<void(Status)> done) = 0;
  /// kFenced: the driver is another instance's now; stop.
  virtual void SavePosition(json::object position, std::function<void(Status)> done) = 0;
  /// A line of its log. `stream`: stdout, stderr or driver.
  virtual void Log(const std::string& stream, std::string line) = 0;
  /// It works: READY.
  virtual void Ready() = 0;
  /// It does not: ERROR with the reason. The driver is destroyed soon after, and made again after a
  /// pause that grows.
  virtual void Fail(std::string reason) = 0;
};

/// A driver at work; its end stops it at once.
class RunningDriver {
 public:
  virtual ~RunningDriver() = default;
};

}  // namespace dispatch
