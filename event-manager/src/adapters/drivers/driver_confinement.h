#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/process/cgroups.h"
#include "event-manager/src/adapters/drivers/child_process.h"

namespace dispatch {

/// What bounds the executables of drivers beside bubblewrap: control groups of memory, processor
/// and processes where this process may make them, and the filter of system calls that functions
/// have. Must outlive the executables; one owner.
class DriverConfinement {
 public:
  explicit DriverConfinement(Loop& loop);
  /// Waits, at most a second, for what has just ended.
  ~DriverConfinement();

  /// Adds both to what is to be started. kUnavailable without a filter.
  Status Confine(ChildSpec& spec);
  /// The groups cannot be used after all: there are none from now on.
  void GiveUpGroups(const std::string& why);
  /// Takes the group of an executable that ended, whose last processes may still be ending.
  void Bury(std::unique_ptr<Cgroup> group);

 private:
  /// Tries again, each second, until nothing is left.
  void Dig();

  Loop& loop_;
  TimerId timer_ = kNoTimer;
  Cgroups groups_;
  Result<std::string> filter_;
  std::vector<std::unique_ptr<Cgroup>> graves_;
};

/// The descriptor at which bubblewrap finds the filter.
inline constexpr int kDriverFilterFd = 3;

}  // namespace dispatch
