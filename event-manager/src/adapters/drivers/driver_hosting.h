#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "event-manager/src/adapters/drivers/driver_seat.h"

namespace dispatch {

/// The drivers that this instance runs: renews their leases each second, claims those that nobody
/// runs, a few at a time so that instances share them, and ends those whose lease it could not
/// renew. One owner.
class DriverHosting {
 public:
  DriverHosting(broker::Broker& broker, Loop& loop, DriverStore& store, DriverFactory factory,
                std::function<void()> committed);
  ~DriverHosting();

  void Start();
  /// Something was created, changed or deleted: looks at once.
  void Nudge();
  /// The secret has other values now.
  void SecretChanged(const std::string& org, const std::string& name);
  /// Ends all drivers and gives their leases back.
  void Stop(std::function<void()> done);

 private:
  void Turn();
  void Take(std::vector<ClaimedDriver> owned, SteadyTime until);
  void DropExpired();
  void Counted();
  void Watch();

  broker::Broker& broker_;
  Loop& loop_;
  DriverStore& store_;
  const DriverFactory factory_;
  const std::function<void()> committed_;
  std::unique_ptr<broker::Producer> producer_;  // while there are drivers
  std::map<Uuid, std::unique_ptr<DriverSeat>> seats_;
  TimerId timer_ = kNoTimer;
  TimerId watch_ = kNoTimer;
  bool turning_ = false;
  bool again_ = false;
  bool stopped_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
