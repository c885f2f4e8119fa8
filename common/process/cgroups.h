#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/process/spawn.h"
#include "common/result.h"

namespace dispatch {

struct CgroupLimits {
  int64_t memory_bytes = 0;
  int32_t cpu_millis = 0;
  int32_t processes = 0;
};

/// The control groups of one sandbox: a directory a controller (version 1) or one (version 2),
/// removed at its end. Requires that its processes are gone by then; what is left stays until the
/// next start of a service sweeps it.
class Cgroup {
 public:
  explicit Cgroup(std::vector<std::string> directories) : directories_(std::move(directories)) {}
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// For SpawnSpec::cgroups.
  Result<std::vector<Fd>> Entries() const;
  /// Whether the kernel ended a process of it because the memory was used up.
  bool OutOfMemory() const;
  /// Tries to remove it: false while processes are in it.
  bool Remove();
  /// Waits for that, at most a second.
  bool Await();

 private:
  std::vector<std::string> directories_;
};

/// Where this process may make control groups, found once: below its own group of version 1, or, in
/// version 2, below its own or (when that has processes itself, as the rule against them demands)
/// its parent. Nothing of the machine is changed outside the directory
/// `<name>-<pid>-<n>`.
class Cgroups {
 public:
  /// Below this process's own group. `name` begins the names of its directories: its service's.
  explicit Cgroups(std::string name);
  /// `root`: /sys/fs/cgroup; `self`: the text of /proc/self/cgroup.
  Cgroups(std::string name, const std::string& root, const std::string& self);
  ~Cgroups();
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;

  /// Removes again what killed services left, whose processes may have been ending at the start.
  void Tidy();
  /// Makes none from now on.
  void Forget();

  bool memory() const { return memory_; }
  bool cpu() const { return cpu_; }
  bool processes() const { return processes_; }

  /// What cannot be limited is left out.
  Result<std::unique_ptr<Cgroup>> Make(const CgroupLimits& limits);

 private:
  struct Place {
    std::string directory;  // ours
    bool memory = false;
    bool cpu = false;
    bool processes = false;
    bool unified = false;
  };
  void FindUnified(const std::string& root, const std::string& path);
  void FindLegacy(const std::string& root, const std::string& controllers, const std::string& path);
  void Add(Place place);

  const std::string prefix_;
  std::vector<Place> places_;
  bool memory_ = false;
  bool cpu_ = false;
  bool processes_ = false;
  uint64_t next_ = 0;
};

}  // namespace dispatch
