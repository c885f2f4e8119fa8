#include "event-manager/src/adapters/drivers/driver_confinement.h"

#include "common/log.h"
#include "common/process/orphans.h"
#include "common/process/seccomp_filter.h"
#include "event-manager/src/domain/drivers/driver_limits.h"

namespace dispatch {

namespace {

constexpr Duration kDig = std::chrono::seconds(1);

}  // namespace

DriverConfinement::DriverConfinement(Loop& loop)
    : loop_(loop), groups_("dispatch-drivers"), filter_(SeccompProgram(/*network=*/true)) {
  KillOrphanedSandboxes();
}

DriverConfinement::~DriverConfinement() {
  loop_.Cancel(timer_);
  for (auto& grave : graves_) (void)grave->Await();
}

Status DriverConfinement::Confine(ChildSpec& spec) {
  KillOrphanedSandboxes();
  groups_.Tidy();
  if (!filter_.ok()) return filter_.status();
  ASSIGN_OR_RETURN(spec.filter, SeccompFile(*filter_));
  auto group = groups_.Make({.memory_bytes = kDriverMemoryBytes,
                             .cpu_millis = kDriverCpuMillis,
                             .processes = kDriverProcesses});
  if (group.ok()) {
    spec.group = std::move(*group);
  } else {
    GiveUpGroups(group.message());
  }
  return OkStatus();
}

void DriverConfinement::GiveUpGroups(const std::string& why) {
  log::Warning("executables of drivers run without control groups reason=\"{}\"", why);
  groups_.Forget();
}

void DriverConfinement::Bury(std::unique_ptr<Cgroup> group) {
  if (group == nullptr || group->Remove()) return;
  graves_.push_back(std::move(group));
  if (timer_ == kNoTimer) timer_ = loop_.After(kDig, [this] { Dig(); });
}

void DriverConfinement::Dig() {
  timer_ = kNoTimer;
  std::erase_if(graves_, [](const auto& grave) { return grave->Remove(); });
  if (!graves_.empty()) timer_ = loop_.After(kDig, [this] { Dig(); });
}

}  // namespace dispatch
