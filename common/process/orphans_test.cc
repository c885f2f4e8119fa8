#include "common/process/orphans.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace dispatch::orphans_test {
namespace {

// A process of some other program that calls itself `name`.
pid_t Sleeper(const std::string& name) {
  int until_exec[2];
  if (pipe2(until_exec, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    execl("/usr/bin/sleep", name.c_str(), "60", nullptr);
    _exit(127);
  }
  close(until_exec[1]);
  char none;
  (void)!read(until_exec[0], &none, 1);  // until then the child has our words
  close(until_exec[0]);
  return pid;
}

TEST(OrphanedSandboxes, OnlyThoseOfTheDeadAreEnded) {
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pid_t service = fork();
  if (service == 0) {
    pid_t orphan = Sleeper(SandboxName());
    (void)!write(ends[1], &orphan, sizeof(orphan));
    _exit(0);
  }
  ASSERT_EQ(waitpid(service, nullptr, 0), service);
  pid_t orphan = 0;
  ASSERT_EQ(read(ends[0], &orphan, sizeof(orphan)), static_cast<ssize_t>(sizeof(orphan)));
  pid_t own = Sleeper(SandboxName());
  pid_t other = Sleeper("sleep");

  KillOrphanedSandboxes();

  int status = 0;
  EXPECT_EQ(waitpid(orphan, &status, 0), orphan);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  for (pid_t pid : {own, other}) {
    EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0) << "it was ended too";
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace dispatch::orphans_test
