#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "common/result.h"

namespace dispatch {

/// A file descriptor that is closed at its end.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void Reset();
  /// It is the caller's to close.
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct SpawnSpec {
  std::vector<std::string> argv;  // argv[0] is a path
  std::string name;               // what the program sees as its argv[0], when not the path
  std::vector<std::string> env;   // all of it: nothing is inherited
  std::vector<int> fds;           // become 0, 1, 2 ... of the child; it gets no others
  std::vector<int> cgroups;       // opened cgroup.procs files; the child enters before its exec
  int nice = 0;                   // added to the priority
};

/// A child in a process group of its own that is killed when this thread ends. Stops the calling
/// thread until the exec (no copy of the address space is made), some 0.1 ms.
Result<pid_t> Spawn(const SpawnSpec& spec);

}  // namespace dispatch
