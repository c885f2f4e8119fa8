#include "event-manager/src/adapters/drivers/process_driver.h"

#include <fmt/format.h>

#include <chrono>

#include "event-manager/src/adapters/drivers/process_command.h"
#include "event-manager/src/domain/drivers/driver_limits.h"

namespace dispatch {

namespace {

// Alive for so long, it works.
constexpr Duration kSettled = std::chrono::milliseconds(1'500);

}  // namespace

ProcessDriver::ProcessDriver(DriverHost& host, EventLoop& loop, const DriverSettings& settings,
                             std::shared_ptr<DriverConfinement> confinement, DriverSetup setup)
    : host_(host),
      loop_(loop),
      settings_(settings),
      confinement_(std::move(confinement)),
      setup_(std::move(setup)),
      endpoint_(host, loop, DriverEndpoint::Callers::kMany) {
  timer_ = loop_.After(Duration(0), [this] { Begin(); });
}

ProcessDriver::~ProcessDriver() {
  loop_.Cancel(timer_);
  if (child_ == nullptr) return;
  child_->Kill();
  confinement_->Bury(child_->TakeGroup());
}

void ProcessDriver::Fail(const std::string& reason) {
  if (failed_) return;
  failed_ = true;
  endpoint_.Refuse();
  host_.Fail(reason);
}

void ProcessDriver::Begin() {
  timer_ = kNoTimer;
  auto port = endpoint_.Listen("127.0.0.1:0");
  if (!port.ok()) return Fail(port.message());
  Status started = StartChild(*port, true);
  // Control groups that can be made but not entered are as good as none.
  if (!started.ok()) started = StartChild(*port, false);
  if (!started.ok()) return Fail(started.message());
  host_.Log("driver", "started");
  timer_ = loop_.After(kSettled, [this] {
    timer_ = kNoTimer;
    if (!failed_) host_.Ready();
  });
}

Status ProcessDriver::StartChild(uint16_t port, bool groups) {
  ASSIGN_OR_RETURN(auto spec, DriverCommand(settings_, setup_, port, endpoint_.token()));
  RETURN_IF_ERROR(confinement_->Confine(spec));
  if (!groups) confinement_->Bury(std::move(spec.group));
  auto child = ChildProcess::Start(
      loop_, std::move(spec),
      [this](const std::string& stream, std::string line) { host_.Log(stream, std::move(line)); },
      [this](const std::string& how) {
        Fail(child_->OutOfMemory()
                 ? fmt::format("the executable used more memory than its limit of {} MB",
                               kDriverMemoryBytes / 1024 / 1024)
                 : "the executable " + how);
      });
  if (child.ok()) {
    child_ = std::move(*child);
    if (!groups) confinement_->GiveUpGroups("they cannot be entered");
  }
  return child.status();
}

}  // namespace dispatch
