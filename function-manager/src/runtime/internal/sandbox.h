#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/process/cgroups.h"
#include "common/process/spawn.h"
#include "common/result.h"
#include "function-manager/src/domain/runner.h"
#include "function-manager/src/runtime/internal/egress.h"
#include "function-manager/src/runtime/process_runner.h"

namespace dispatch::runtime {

/// All that starting one worker needs; descriptors 0 to 3 are the caller's.
struct Launch {
  std::vector<std::string> argv;
  std::string name;  // SpawnSpec::name
  std::vector<std::string> env;
  std::vector<Fd> cgroup_entries;
  std::unique_ptr<Cgroup> cgroup;
  Fd filter;                           // becomes descriptor kFilterFd
  std::unique_ptr<Egress::Gate> gate;  // its helper's end becomes descriptor kGateFd
  int nice = 0;
};
inline constexpr int kFilterFd = 4;
inline constexpr int kGateFd = 5;

/// Turns a version into the command line of its worker inside a sandbox: a read-only root with the
/// system's /usr, the function, its image and the runtime, a private /tmp of limited size; its own
/// process, IPC, host name and network namespaces; no privileges, a filter of
/// system calls, limits by rlimits and, where this process may make them, control groups.
class Sandbox {
 public:
  explicit Sandbox(const ProcessRunnerOptions& options);

  /// Starts a sandbox that does nothing, and waits: why none can be had here.
  Status Probe();
  /// `slot`: which of the instance's workers, for its user id. kUnprocessable for a language that
  /// is not served.
  Result<Launch> Prepare(const FunctionVersion& version, int slot);
  /// Ends and removes again what killed services left, which may have been ending at the start.
  void Tidy();
  /// A word on which limits the machine lets us set, for the log.
  std::string Describe() const;

 private:
  /// One sandbox that does nothing, as things are set.
  Status Try();
  std::vector<std::string> Command(const FunctionVersion& version, bool sandboxed) const;
  std::vector<std::string> Limits(const FunctionVersion& version, int slot) const;
  std::vector<std::string> View(const FunctionVersion& version) const;
  Result<Launch> Wrap(const FunctionVersion& version, int slot, std::vector<std::string> command);

  const ProcessRunnerOptions& options_;
  bool root_;
  bool proc_ = true;  // whether a /proc can be mounted
  Egress egress_;
  Cgroups cgroups_;
  Result<std::string> filter_closed_;
  Result<std::string> filter_network_;
};

}  // namespace dispatch::runtime
