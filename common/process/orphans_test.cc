#include "common/process/orphans.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace dispatch::orphans_test {
namespace {

// A process of some other program that calls itself `name`.
pid_t Sleeper(const std::string& name) {
  pid_t pid = fork();
  if (pid == 0) {
    execl("/usr/bin/sleep", name.c_str(), "60", nullptr);
    _exit(127);
  }
  return pid;
}

// Until the exec, the child has our words.
void AwaitExec(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/exe";
  char text[256];
  for (int i = 0; i < 5000; ++i) {
    ssize_t size = readlink(path.c_str(), text, sizeof(text));
    if (size > 0 && std::string(text, static_cast<size_t>(size)).ends_with("sleep")) return;
    usleep(1000);
  }
  FAIL() << "the child does not start";
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
  for (pid_t pid : {orphan, own, other}) AwaitExec(pid);

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
