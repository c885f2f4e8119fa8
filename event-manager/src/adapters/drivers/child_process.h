#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/process/cgroups.h"
#include "common/process/spawn.h"
#include "common/result.h"
#include "event-manager/src/adapters/drivers/line_splitter.h"

namespace dispatch {

struct ChildSpec {
  std::vector<std::string> argv;  // argv[0] is a path
  std::string name;               // SpawnSpec::name
  std::vector<std::string> env;   // all of it: nothing is inherited
  Fd filter;                      // its descriptor 3, when there is one
  std::unique_ptr<Cgroup> group;  // that it is started in; none: this process's
};

/// A process of ours with its output read line by line. It is killed with all of its group at the
/// end of this object, and by the kernel when the thread that made it ends, however that comes: so
/// make it on the main thread. One owner.
class ChildProcess {
 public:
  using Line = std::function<void(const std::string& stream, std::string line)>;
  /// "exited with status 3", "was killed by signal 9".
  using Exited = std::function<void(std::string how)>;

  static Result<std::unique_ptr<ChildProcess>> Start(EventLoop& loop, ChildSpec spec, Line on_line,
                                                     Exited on_exit);
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  /// Whether the kernel ended a process of it because its group's memory was used up.
  bool OutOfMemory() const { return group_ != nullptr && group_->OutOfMemory(); }
  /// After its end, for who removes it.
  std::unique_ptr<Cgroup> TakeGroup() { return std::move(group_); }
  /// Ends it; nothing is told any more.
  void Kill();

 private:
  struct Pipe {
    Fd fd;
    LineSplitter lines;
  };

  ChildProcess(EventLoop& loop, Line on_line, Exited on_exit)
      : loop_(loop), on_line_(std::move(on_line)), on_exit_(std::move(on_exit)) {}
  LineSplitter LinesOf(const char* stream) {
    return LineSplitter([this, stream](std::string line) { on_line_(stream, std::move(line)); });
  }
  void Read(Pipe& pipe);
  void OnExit();
  void Close(Pipe& pipe);

  EventLoop& loop_;
  const Line on_line_;
  const Exited on_exit_;
  pid_t pid_ = -1;
  Fd pidfd_;
  std::unique_ptr<Cgroup> group_;
  Pipe out_{.fd = {}, .lines = LinesOf("stdout")};
  Pipe err_{.fd = {}, .lines = LinesOf("stderr")};
};

}  // namespace dispatch
