#pragma once

#include <functional>
#include <memory>
#include <string>

#include "event-manager/src/adapters/drivers/driver_log.h"
#include "event-manager/src/adapters/drivers/running_driver.h"

namespace dispatch {

/// What drivers are made with.
struct DriverFactory {
  /// Null with a reason when it cannot be made here.
  std::function<Result<std::unique_ptr<RunningDriver>>(DriverHost& host, DriverSetup setup)> make;
  /// The values of secrets, merged.
  std::function<void(const std::string& org, const std::vector<std::string>& names,
                     std::function<void(Result<std::map<std::string, std::string>>)> done)>
      secrets;
  /// Ends what drivers leave running when they are gone. Null: nothing.
  std::function<void(std::function<void()> done)> close = nullptr;
};

/// One driver that this instance has the lease of: makes it, makes it again when it failed, with a
/// pause that grows from 1 s to 60 s, and tells its status. One owner.
class DriverSeat : public DriverHost {
 public:
  DriverSeat(Loop& loop, broker::Producer& producer, DriverStore& store,
             const DriverFactory& factory, ClaimedDriver claimed, std::function<void()> committed);
  ~DriverSeat() override;

  /// The lease lasts until then.
  void Renew(SteadyTime until) { valid_until_ = until; }
  bool expired() const { return loop_.Steady() >= valid_until_; }
  const ClaimedDriver& claimed() const { return claimed_; }
  /// Stops and makes it anew, with the newest values of its secrets.
  void Restart(const std::string& why);

  Loop& loop() override { return loop_; }
  void Publish(cloudevents::Event event, std::function<void(Status)> done) override;
  void SavePosition(json::object position, std::function<void(Status)> done) override;
  void Log(const std::string& stream, std::string line) override;
  void Ready() override;
  void Fail(std::string reason) override;

 private:
  void Begin();
  void Make(std::map<std::string, std::string> secrets);
  void Tell(const std::string& status, const std::string& reason);
  void WriteStatus();

  Loop& loop_;
  broker::Producer& producer_;
  DriverStore& store_;
  const DriverFactory& factory_;
  ClaimedDriver claimed_;
  const std::function<void()> committed_;
  SteadyTime valid_until_{};
  DriverLog log_;
  std::string topic_;  // of its events
  std::unique_ptr<RunningDriver> driver_;
  TimerId timer_ = kNoTimer;
  TimerId status_timer_ = kNoTimer;
  int failures_ = 0;
  SteadyTime ready_since_{};
  bool ready_ = false;
  std::string status_;  // to be told
  std::string reason_;
  bool telling_ = false;
  bool told_ = true;
  uint64_t life_ = 0;  // rises with each making
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

/// Below what is left of a lease when it was just not renewed twice.
inline constexpr Duration kDriverDeliveryTimeout = std::chrono::milliseconds(2'500);

}  // namespace dispatch
