#include "common/process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace dispatch {
namespace {

constexpr int kMaxFds = 8;
// Above all targets, so that no dup2 overwrites what is still to be passed on.
constexpr int kAboveTargets = 16;

/// Runs in the parent's memory: only system calls, nothing that allocates or locks.
[[noreturn]] void Child(const SpawnSpec& spec, const char* path, char* const* argv,
                        char* const* env, pid_t parent, volatile int* failure) {
  auto fail = [&] {
    *failure = errno;
    _exit(127);
  };
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  setpgid(0, 0);
  for (int cgroup : spec.cgroups) {
    if (write(cgroup, "0", 1) != 1) fail();
  }
  int moved[kMaxFds];
  int count = static_cast<int>(spec.fds.size());
  for (int i = 0; i < count; ++i) {
    moved[i] = fcntl(spec.fds[i], F_DUPFD_CLOEXEC, kAboveTargets);
    if (moved[i] < 0) fail();
  }
  for (int i = 0; i < count; ++i) {
    if (dup2(moved[i], i) < 0) fail();
  }
  if (syscall(SYS_close_range, count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail();
  if (spec.nice != 0) setpriority(PRIO_PROCESS, 0, spec.nice);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail();
  if (getppid() != parent) _exit(127);  // it died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(path, argv, env);
  fail();
  __builtin_unreachable();
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

void Fd::Reset() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

Result<pid_t> Spawn(const SpawnSpec& spec) {
  if (spec.fds.size() > kMaxFds) return {Code::kInternal, "too many descriptors for a child"};
  auto argv = Pointers(spec.argv);
  if (!spec.name.empty()) argv[0] = const_cast<char*>(spec.name.c_str());
  auto env = Pointers(spec.env);
  volatile int failure = 0;
  pid_t parent = getpid();
  // No handler of this process may run in the child, which shares its memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) Child(spec, spec.argv[0].c_str(), argv.data(), env.data(), parent, &failure);
  int error = pid < 0 ? errno : failure;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) return pid;
  if (pid > 0) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  return {Code::kUnavailable, "cannot start " + spec.argv[0] + ": " + std::strerror(error)};
}

}  // namespace dispatch
