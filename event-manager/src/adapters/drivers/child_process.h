#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/result.h"

namespace dispatch {

struct ChildSpec {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> env;   // all of it: nothing is inherited
};

/// A process of ours with its output read line by line. It is killed with all of its group at the
/// end of this object, and by the kernel when the thread that made it ends, however that comes: so
/// make it on the main thread. One owner.
class ChildProcess {
 public:
  using Line = std::function<void(const std::string& stream, std::string line)>;
  /// "exited with status 3", "was killed by signal 9".
  using Exited = std::function<void(std::string how)>;

  static Result<std::unique_ptr<ChildProcess>> Start(EventLoop& loop, const ChildSpec& spec,
                                                     Line on_line, Exited on_exit);
  ~ChildProcess();

  pid_t pid() const { return pid_; }

 private:
  struct Pipe {
    int fd = -1;
    const char* stream = "";
    std::string rest;
  };

  ChildProcess(EventLoop& loop, Line on_line, Exited on_exit)
      : loop_(loop), on_line_(std::move(on_line)), on_exit_(std::move(on_exit)) {}
  void Read(Pipe& pipe);
  void OnExit();
  void Close(Pipe& pipe);

  EventLoop& loop_;
  const Line on_line_;
  const Exited on_exit_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  Pipe out_{.stream = "stdout"};
  Pipe err_{.stream = "stderr"};
};

}  // namespace dispatch
