#pragma once

#include <memory>

#include "event-manager/src/adapters/drivers/event_search.h"
#include "event-manager/src/adapters/drivers/running_driver.h"
#include "event-manager/src/domain/drivers/tick_schedule.h"

namespace dispatch {

/// `ticker` and `cron`. Each tick is claimed in the database (its due time, under the epoch of the
/// lease) before its event is written, so nobody writes another's. Who takes over does not know
/// whether the last one that was claimed is in the topic, and looks there for its id. One owner.
class TickDriver : public RunningDriver {
 public:
  /// `setup.config` was checked.
  TickDriver(DriverHost& host, broker::Broker& broker, DriverSetup setup);
  ~TickDriver() override;

 private:
  void Begin();
  void Settle();
  void Await();
  void Take(const Tick& tick);
  void Claim();
  void Emit();
  void Settled();
  void Keep(std::function<void()> then);
  int64_t NowSeconds() const;

  DriverHost& host_;
  broker::Broker& broker_;
  const DriverSetup setup_;
  std::string type_;  // of its events
  std::string source_;
  TickPosition position_;
  std::unique_ptr<TickSchedule> schedule_;
  std::unique_ptr<EventSearch> search_;
  TimerId timer_ = kNoTimer;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
