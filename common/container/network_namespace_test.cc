#include "common/container/network_namespace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace dispatch::container::network_namespace_test {
namespace {

using ::testing::HasSubstr;

constexpr uint16_t kPort = 8080;

/// A child in a network of its own, whose loopback is up.
class NetworkNamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Status allowed = NetworkNamespace::Allowed(); !allowed.ok()) {
      GTEST_SKIP() << allowed.message();
    }
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    child_ = fork();
    if (child_ == 0) {
      ifreq request{};
      request.ifr_name[0] = 'l';
      request.ifr_name[1] = 'o';
      request.ifr_flags = IFF_UP;
      bool up = unshare(CLONE_NEWNET) == 0 &&
                ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &request) == 0;
      (void)!write(ends[1], up ? "u" : "d", 1);
      pause();
      _exit(0);
    }
    char up = 0;
    ASSERT_EQ(read(ends[0], &up, 1), 1);
    close(ends[0]);
    close(ends[1]);
    ASSERT_EQ(up, 'u');
  }
  void TearDown() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

  pid_t child_ = -1;
};

TEST_F(NetworkNamespaceTest, ListensForThoseInside) {
  auto inside = NetworkNamespace::Of(child_);
  ASSERT_TRUE(inside.ok()) << inside.message();
  auto listening = (*inside)->Listen(kPort);
  ASSERT_TRUE(listening.ok()) << listening.message();
  auto dialled = (*inside)->Dial(kPort);
  ASSERT_TRUE(dialled.ok()) << dialled.message();
  Fd caller(*dialled);
  pollfd ready{.fd = listening->get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&ready, 1, 10'000), 1);
  Fd taken(accept(listening->get(), nullptr, nullptr));
  EXPECT_TRUE(taken);
  EXPECT_EQ(NetworkNamespace::Of(getpid()).code(), Code::kInternal);
}

TEST_F(NetworkNamespaceTest, APortThatIsTakenIsAConflict) {
  auto inside = NetworkNamespace::Of(child_);
  ASSERT_TRUE(inside.ok()) << inside.message();
  auto first = (*inside)->Listen(kPort);
  ASSERT_TRUE(first.ok()) << first.message();
  auto second = (*inside)->Listen(kPort);
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_THAT(second.message(), HasSubstr("port 8080 in the container"));
}

TEST_F(NetworkNamespaceTest, OfAProcessThatIsGoneIsNone) {
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
  EXPECT_EQ(NetworkNamespace::Of(child_).code(), Code::kUnavailable);
  child_ = -1;
}

}  // namespace
}  // namespace dispatch::container::network_namespace_test
