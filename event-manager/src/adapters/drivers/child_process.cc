#include "event-manager/src/adapters/drivers/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace dispatch {

namespace {

constexpr int kReads = 8;  // of a pipe at a turn

/// Its ends to read, which does not block, and to write, which does, as programs expect.
Result<std::pair<Fd, Fd>> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {Code::kUnavailable, "too many open files"};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::pair{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(EventLoop& loop, ChildSpec spec,
                                                          Line on_line, Exited on_exit) {
  auto child =
      std::unique_ptr<ChildProcess>(new ChildProcess(loop, std::move(on_line), std::move(on_exit)));
  ASSIGN_OR_RETURN(auto out, MakePipe());
  ASSIGN_OR_RETURN(auto err, MakePipe());
  Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  SpawnSpec spawn{.argv = std::move(spec.argv),
                  .name = std::move(spec.name),
                  .env = std::move(spec.env),
                  .fds = {null.get(), out.second.get(), err.second.get()},
                  .cgroups = {},
                  .nice = 0};
  if (spec.filter) spawn.fds.push_back(spec.filter.get());
  std::vector<Fd> entries;
  if (spec.group != nullptr) {
    ASSIGN_OR_RETURN(entries, spec.group->Entries());
    for (const auto& entry : entries) spawn.cgroups.push_back(entry.get());
  }
  ASSIGN_OR_RETURN(child->pid_, Spawn(spawn));
  child->group_ = std::move(spec.group);
  child->pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, child->pid_, 0)));
  if (!child->pidfd_) return {Code::kUnavailable, "cannot watch a process"};
  fcntl(child->pidfd_.get(), F_SETFD, FD_CLOEXEC);
  child->out_.fd = std::move(out.first);
  child->err_.fd = std::move(err.first);
  ChildProcess* self = child.get();
  loop.WatchReadable(child->out_.fd.get(), [self] { self->Read(self->out_); });
  loop.WatchReadable(child->err_.fd.get(), [self] { self->Read(self->err_); });
  loop.WatchReadable(child->pidfd_.get(), [self] { self->OnExit(); });
  return child;
}

ChildProcess::~ChildProcess() { Kill(); }

void ChildProcess::Kill() {
  if (pidfd_) {
    loop_.Unwatch(pidfd_.get());
    pidfd_.Reset();
  }
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    // At once, but for what hangs in the kernel.
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  Close(out_);
  Close(err_);
}

void ChildProcess::Close(Pipe& pipe) {
  if (!pipe.fd) return;
  loop_.Unwatch(pipe.fd.get());
  pipe.fd.Reset();
}

void ChildProcess::Read(Pipe& pipe) {
  char text[8192];
  for (int i = 0; i < kReads && pipe.fd; ++i) {
    ssize_t size = read(pipe.fd.get(), text, sizeof(text));
    if (size < 0) return;  // nothing more now
    if (size == 0) {
      pipe.lines.Finish();
      return Close(pipe);
    }
    pipe.lines.Append({text, static_cast<size_t>(size)});
  }
}

void ChildProcess::OnExit() {
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return;
  loop_.Unwatch(pidfd_.get());
  pidfd_.Reset();
  kill(-pid_, SIGKILL);  // what it left
  pid_ = -1;
  Read(out_);
  Read(err_);
  on_exit_(WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                               : fmt::format("exited with status {}", WEXITSTATUS(status)));
}

}  // namespace dispatch
