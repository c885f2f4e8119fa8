#include "common/process/process_name.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dispatch::process_name_test {
namespace {

TEST(ProcessName, TellsWhetherItsProcessLives) {
  std::string own = ProcessName();
  EXPECT_TRUE(MayLive(own));
  // The number of another one, and ours in an earlier life.
  size_t number = own.rfind('_');
  EXPECT_FALSE(MayLive(own.substr(0, number) + "_1"));
  EXPECT_FALSE(MayLive("00000000-0000-0000-0000-000000000000" + own.substr(own.find('_'))));
  // Who has other numbers cannot be told.
  size_t pid = own.rfind('_', number - 1);
  EXPECT_TRUE(MayLive(own.substr(0, own.find('_')) + "_1" + own.substr(pid)));
  for (const char* foreign : {"", "x", "a_b_c_d", "a_1_-5_7"}) EXPECT_TRUE(MayLive(foreign));
}

TEST(ProcessName, OfAChildThatEndedIsDead) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    std::string name = ProcessName();
    (void)!write(ends[1], name.data(), name.size());
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  char text[256];
  ssize_t size = read(ends[0], text, sizeof(text));
  ASSERT_GT(size, 0);
  EXPECT_FALSE(MayLive({text, static_cast<size_t>(size)}));
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace dispatch::process_name_test
