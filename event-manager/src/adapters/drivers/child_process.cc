#include "event-manager/src/adapters/drivers/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace dispatch {

namespace {

constexpr size_t kMaxLine = 4096;
constexpr int kReads = 8;  // of a pipe at a turn

/// Runs in the parent's memory: only system calls, nothing that allocates or locks.
[[noreturn]] void Child(char* const* argv, char* const* env, pid_t parent, int in, int out, int err,
                        volatile int* failure) {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  setpgid(0, 0);
  bool ready = dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0 &&
               syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
               prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (getppid() != parent) _exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (ready) execve(argv[0], argv, env);
  *failure = errno;
  _exit(127);
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Above 2, so that no dup2 of the child overwrites what is still to be passed on.
int Above(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 10);
  close(fd);
  return moved;
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(EventLoop& loop, const ChildSpec& spec,
                                                          Line on_line, Exited on_exit) {
  auto child =
      std::unique_ptr<ChildProcess>(new ChildProcess(loop, std::move(on_line), std::move(on_exit)));
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0) return {Code::kUnavailable, "too many open files"};
  child->out_.fd = out[0];
  if (pipe2(err, O_CLOEXEC | O_NONBLOCK) != 0) {
    close(out[1]);
    return {Code::kUnavailable, "too many open files"};
  }
  child->err_.fd = err[0];
  int in = Above(open("/dev/null", O_RDONLY | O_CLOEXEC));
  int out_end = Above(out[1]);
  int err_end = Above(err[1]);
  // The child's ends block, as programs expect.
  for (int fd : {out_end, err_end}) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  auto argv = Pointers(spec.argv);
  auto env = Pointers(spec.env);
  volatile int failure = 0;
  pid_t parent = getpid();
  // No handler of this process may run in the child, which shares its memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) Child(argv.data(), env.data(), parent, in, out_end, err_end, &failure);
  int error = pid < 0 ? errno : failure;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (int fd : {in, out_end, err_end}) close(fd);
  if (error != 0) {
    int status = 0;
    if (pid > 0) waitpid(pid, &status, 0);
    return {Code::kUnavailable,
            fmt::format("cannot start {}: {}", spec.argv[0], std::strerror(error))};
  }
  child->pid_ = pid;
  child->pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (child->pidfd_ < 0) return {Code::kUnavailable, "cannot watch a process"};
  ChildProcess* self = child.get();
  loop.WatchReadable(child->out_.fd, [self] { self->Read(self->out_); });
  loop.WatchReadable(child->err_.fd, [self] { self->Read(self->err_); });
  loop.WatchReadable(child->pidfd_, [self] { self->OnExit(); });
  return child;
}

ChildProcess::~ChildProcess() {
  if (pidfd_ >= 0) {
    loop_.Unwatch(pidfd_);
    close(pidfd_);
  }
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    // At once, but for what hangs in the kernel.
    int status = 0;
    waitpid(pid_, &status, 0);
  }
  Close(out_);
  Close(err_);
}

void ChildProcess::Close(Pipe& pipe) {
  if (pipe.fd < 0) return;
  loop_.Unwatch(pipe.fd);
  close(pipe.fd);
  pipe.fd = -1;
}

void ChildProcess::Read(Pipe& pipe) {
  char text[8192];
  for (int i = 0; i < kReads && pipe.fd >= 0; ++i) {
    ssize_t size = read(pipe.fd, text, sizeof(text));
    if (size < 0) return;  // nothing more now
    if (size == 0) {
      if (!pipe.rest.empty()) on_line_(pipe.stream, std::exchange(pipe.rest, {}));
      return Close(pipe);
    }
    pipe.rest.append(text, static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t end; (end = pipe.rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
      on_line_(pipe.stream, pipe.rest.substr(begin, end - begin));
    }
    pipe.rest.erase(0, begin);
    if (pipe.rest.size() > kMaxLine) on_line_(pipe.stream, std::exchange(pipe.rest, {}));
  }
}

void ChildProcess::OnExit() {
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return;
  loop_.Unwatch(pidfd_);
  close(std::exchange(pidfd_, -1));
  kill(-pid_, SIGKILL);  // what it left
  pid_ = -1;
  Read(out_);
  Read(err_);
  on_exit_(WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                               : fmt::format("exited with status {}", WEXITSTATUS(status)));
}

}  // namespace dispatch
