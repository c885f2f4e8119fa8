#pragma once

#include <memory>
#include <string>

#include "common/container/log_frames.h"
#include "common/container/network_namespace.h"
#include "event-manager/src/adapters/drivers/driver_containers.h"
#include "event-manager/src/adapters/drivers/driver_endpoint.h"
#include "event-manager/src/adapters/drivers/line_splitter.h"
#include "event-manager/src/adapters/drivers/running_driver.h"

namespace dispatch {

/// A driver that is an image: a container of the engine with VMware's arguments and environment
/// (decision 0023). The endpoint that it POSTs its events to listens inside its own network, at
/// 127.0.0.1, so that nobody else reaches it. What it writes is the driver's log. Made again when
/// it ends, and removed with its lease. One owner.
class ContainerDriver : public RunningDriver {
 public:
  ContainerDriver(DriverHost& host, EventLoop& loop, std::shared_ptr<DriverContainers> containers,
                  DriverSetup setup);
  ~ContainerDriver() override;

 private:
  void Begin();
  /// Those of this driver that an instance before, or the life before, left.
  void RemoveOthers(const std::string& image, int looks);
  void Create(const std::string& image);
  void OnCreated(std::string id);
  void Attach();
  void OnAttachEnded();
  void Listen();
  void AwaitEnd();
  /// It ended, or the engine does not say so any more: why.
  void Explain(const Status& ended);
  void End(std::string reason);
  void Fail(const std::string& reason);
  /// `task` unless this is gone by then.
  template <typename Task>
  auto Guard(Task task);

  DriverHost& host_;
  EventLoop& loop_;
  const std::shared_ptr<DriverContainers> containers_;
  const DriverSetup setup_;
  DriverEndpoint endpoint_;
  LineSplitter out_;
  LineSplitter err_;
  container::LogFrames frames_;
  std::unique_ptr<container::Output> output_;
  std::string id_;     // empty: not made yet
  std::string ended_;  // why, while the last of its output is awaited
  bool attached_ = false;
  bool failed_ = false;
  TimerId timer_ = kNoTimer;
  TimerId attach_timer_ = kNoTimer;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
