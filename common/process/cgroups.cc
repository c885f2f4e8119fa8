#include "common/process/cgroups.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace dispatch {
namespace {

namespace fs = std::filesystem;

constexpr int kAwaitTries = 200;
constexpr useconds_t kAwaitMicros = 5000;
constexpr int64_t kPeriodMicros = 100'000;

/// One write(2), as the kernel's files want it; false when refused or not there.
bool WriteFile(const std::string& path, const std::string& text) {
  Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool HasWord(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string each; words >> each;) {
    if (each == word) return true;
  }
  return false;
}

/// The process, for Sweep, and which of its runners.
std::string OwnName(const std::string& prefix) {
  static std::atomic<uint64_t> last = 0;
  return fmt::format("{}{}-{}", prefix, getpid(), ++last);
}

/// Groups of services that were killed: they name the process, and are removed only when empty.
void Sweep(const std::string& parent, const std::string& prefix) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    std::string name = entry.path().filename();
    if (!name.starts_with(prefix)) continue;
    pid_t pid = static_cast<pid_t>(std::strtol(name.c_str() + prefix.size(), nullptr, 10));
    if (pid <= 0 || pid == getpid() || kill(pid, 0) == 0 || errno != ESRCH) continue;
    std::vector<fs::path> children;
    for (const auto& child : fs::directory_iterator(entry.path(), error)) {
      if (child.is_directory(error)) children.push_back(child.path());
    }
    for (const auto& child : children) rmdir(child.c_str());
    rmdir(entry.path().c_str());
  }
}

}  // namespace

Cgroup::~Cgroup() { (void)Remove(); }

bool Cgroup::Await() {
  for (int i = 0; i < kAwaitTries; ++i) {
    if (Remove()) return true;
    usleep(kAwaitMicros);
  }
  return false;
}

bool Cgroup::Remove() {
  std::erase_if(directories_, [](const std::string& directory) {
    return rmdir(directory.c_str()) == 0 || errno == ENOENT;
  });
  return directories_.empty();
}

Result<std::vector<Fd>> Cgroup::Entries() const {
  std::vector<Fd> entries;
  for (const auto& directory : directories_) {
    Fd file(open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) {
      return {Code::kUnavailable,
              "cannot enter the control group " + directory + ": " + std::strerror(errno)};
    }
    entries.push_back(std::move(file));
  }
  return entries;
}

bool Cgroup::OutOfMemory() const {
  for (const auto& directory : directories_) {
    for (const char* file : {"/memory.events", "/memory.oom_control"}) {
      std::istringstream text(ReadFile(directory + file));
      std::string key;
      for (int64_t count = 0; text >> key >> count;) {
        if (key == "oom_kill" && count > 0) return true;
      }
    }
  }
  return false;
}

Cgroups::Cgroups(std::string name)
    : Cgroups(std::move(name), "/sys/fs/cgroup", ReadFile("/proc/self/cgroup")) {}

Cgroups::Cgroups(std::string name, const std::string& root, const std::string& self)
    : prefix_(std::move(name) + "-") {
  std::istringstream lines(self);
  for (std::string line; std::getline(lines, line);) {
    size_t first = line.find(':');
    size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers.empty()) {
      FindUnified(root, path);
    } else {
      FindLegacy(root, controllers, path);
    }
  }
}

Cgroups::~Cgroups() { Forget(); }

void Cgroups::Tidy() {
  for (const auto& place : places_)
    Sweep(fs::path(place.directory).parent_path().string(), prefix_);
}

void Cgroups::Forget() {
  for (const auto& place : places_) rmdir(place.directory.c_str());
  places_.clear();
  memory_ = cpu_ = processes_ = false;
}

void Cgroups::Add(Place place) {
  memory_ |= place.memory;
  cpu_ |= place.cpu;
  processes_ |= place.processes;
  places_.push_back(std::move(place));
}

void Cgroups::FindUnified(const std::string& root, const std::string& path) {
  // A group with processes has no controllers to hand out: then ours is a sibling of the service's.
  for (std::string parent : {root + path, fs::path(root + path).parent_path().string()}) {
    if (parent.size() < root.size() || !fs::exists(parent + "/cgroup.controllers")) continue;
    Place place;
    place.unified = true;
    std::string offered = ReadFile(parent + "/cgroup.controllers");
    auto enable = [&](const std::string& directory, const std::string& name) {
      return HasWord(offered, name) &&
             (HasWord(ReadFile(directory + "/cgroup.subtree_control"), name) ||
              WriteFile(directory + "/cgroup.subtree_control", "+" + name));
    };
    bool any = false;
    for (const char* name : {"memory", "cpu", "pids"}) any |= enable(parent, name);
    if (!any) continue;
    Sweep(parent, prefix_);
    place.directory = parent + "/" + OwnName(prefix_);
    if (mkdir(place.directory.c_str(), 0755) != 0 && errno != EEXIST) continue;
    offered = ReadFile(place.directory + "/cgroup.controllers");
    place.memory = enable(place.directory, "memory");
    place.cpu = enable(place.directory, "cpu");
    place.processes = enable(place.directory, "pids");
    if (place.memory || place.cpu || place.processes) return Add(std::move(place));
    rmdir(place.directory.c_str());
  }
}

void Cgroups::FindLegacy(const std::string& root, const std::string& controllers,
                         const std::string& path) {
  Place place;
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');) {
    place.memory |= name == "memory";
    place.cpu |= name == "cpu";
    place.processes |= name == "pids";
  }
  if (!place.memory && !place.cpu && !place.processes) return;
  std::string parent = root + "/" + controllers + path;
  Sweep(parent, prefix_);
  place.directory = parent + "/" + OwnName(prefix_);
  if (mkdir(place.directory.c_str(), 0755) == 0 || errno == EEXIST) Add(std::move(place));
}

Result<std::unique_ptr<Cgroup>> Cgroups::Make(const CgroupLimits& limits) {
  std::string name = "/" + std::to_string(++next_);
  std::vector<std::string> directories;
  auto cgroup = [&] { return std::make_unique<Cgroup>(directories); };
  for (const auto& place : places_) {
    std::string directory = place.directory + name;
    if (mkdir(directory.c_str(), 0755) != 0) {
      std::string reason = std::strerror(errno);
      (void)cgroup();  // removes what was made
      return {Code::kUnavailable, "cannot make the control group " + directory + ": " + reason};
    }
    directories.push_back(directory);
    std::string memory = std::to_string(limits.memory_bytes);
    std::string quota = std::to_string(limits.cpu_millis * kPeriodMicros / 1000);
    bool set = true;
    if (place.memory) {
      set &=
          WriteFile(directory + (place.unified ? "/memory.max" : "/memory.limit_in_bytes"), memory);
      // Absent where the kernel does not count swap.
      if (place.unified) {
        (void)WriteFile(directory + "/memory.swap.max", "0");
      } else {
        (void)WriteFile(directory + "/memory.memsw.limit_in_bytes", memory);
      }
    }
    if (place.cpu && place.unified) {
      set &= WriteFile(directory + "/cpu.max", quota + " " + std::to_string(kPeriodMicros));
    } else if (place.cpu) {
      set &= WriteFile(directory + "/cpu.cfs_period_us", std::to_string(kPeriodMicros)) &&
             WriteFile(directory + "/cpu.cfs_quota_us", quota);
    }
    if (place.processes) {
      set &= WriteFile(directory + "/pids.max", std::to_string(limits.processes));
    }
    if (!set) {
      std::string reason = std::strerror(errno);
      (void)cgroup();
      return {Code::kUnavailable, "cannot limit the control group " + directory + ": " + reason};
    }
  }
  return cgroup();
}

}  // namespace dispatch
