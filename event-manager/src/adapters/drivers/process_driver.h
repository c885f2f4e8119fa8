#pragma once

#include <memory>
#include <string>

#include "event-manager/src/adapters/drivers/child_process.h"
#include "event-manager/src/adapters/drivers/driver_confinement.h"
#include "event-manager/src/adapters/drivers/driver_endpoint.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"

namespace dispatch {

/// A driver that is an executable of the operator's: started in a sandbox of bubblewrap with
/// VMware's arguments and environment, POSTs its events to an HTTP endpoint of its own on loopback
/// (GET: health), is made again when it ends, and ended with its lease. One owner.
class ProcessDriver : public RunningDriver {
 public:
  ProcessDriver(DriverHost& host, EventLoop& loop, const DriverSettings& settings,
                std::shared_ptr<DriverConfinement> confinement, DriverSetup setup);
  ~ProcessDriver() override;

 private:
  void Begin();
  /// With `groups` in control groups of its own.
  Status StartChild(uint16_t port, bool groups);
  void Fail(const std::string& reason);

  DriverHost& host_;
  EventLoop& loop_;
  const DriverSettings settings_;
  const std::shared_ptr<DriverConfinement> confinement_;
  const DriverSetup setup_;
  DriverEndpoint endpoint_;
  std::unique_ptr<ChildProcess> child_;
  TimerId timer_ = kNoTimer;
  bool failed_ = false;
};

}  // namespace dispatch
