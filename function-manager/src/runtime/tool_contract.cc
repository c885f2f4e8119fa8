// Tools that run code of strangers: what a hostile build can do, and what is left of it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/process/spawn.h"
#include "function-manager/src/runtime/tool.h"

namespace dispatch::tool_contract {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class Tool : public ::testing::Test {
 protected:
  Tool() {
    std::string name = fs::temp_directory_path() / "tool-XXXXXX";
    directory_ = mkdtemp(name.data());
    build_ = directory_ / "images" / ".making";
    fs::create_directories(build_);
    options_.runtimes_dir = DISPATCH_TEST_RUNTIMES;
    options_.first_uid = 1'500'000'000U + static_cast<uint32_t>(getpid()) * 16;
    run_.directory = build_;
    run_.limit = 60s;
  }
  ~Tool() override { fs::remove_all(directory_); }

  Status Shell(const std::string& script) { return Go({"/bin/sh", "-c", script}); }
  Status Python(const std::string& script) { return Go({"/usr/bin/python3", "-c", script}); }
  Status Go(std::vector<std::string> words) {
    Tools tools(options_);
    run_.words = std::move(words);
    Status status = tools.Run(run_);
    EXPECT_EQ(Processes(), 0) << "left behind";
    return status;
  }
  std::string Read(const fs::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  // Of this test's tools: bubblewrap outside, and inside as their user.
  int Processes() const {
    int count = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      struct stat status{};
      stat(entry.path().c_str(), &status);
      std::stringstream text;
      text << std::ifstream(entry.path() / "cmdline").rdbuf();
      count += (geteuid() == 0 && status.st_uid >= options_.first_uid &&
                status.st_uid < options_.first_uid + 16) ||
               text.str().find(build_.string()) != std::string::npos;
    }
    return count;
  }

  fs::path directory_;
  fs::path build_;
  ToolOptions options_;
  ToolRun run_;
};

TEST_F(Tool, IsHeardWhileItWorks) {
  std::vector<std::string> heard;
  run_.heard = [&](const std::string& said) {
    if (heard.empty()) std::ofstream(build_ / "go");  // for which it waits
    heard.push_back(said);
  };
  Status status = Shell(
      "echo one; printf half; while [ ! -e go ]; do sleep 0.1; done; echo ' a line'; seq 5000");
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_GE(heard.size(), 2u);
  EXPECT_EQ(heard.front(), "one");
  // The end of it all, from the begin of a line on.
  EXPECT_LE(heard.back().size(), run_.output);
  EXPECT_THAT(heard.back(), EndsWith("\n4999\n5000"));
  std::istringstream lines(heard.back());
  int first = 0;
  int second = 0;
  lines >> first >> second;
  EXPECT_GT(first, 1000);
  EXPECT_EQ(second, first + 1);
}

TEST_F(Tool, MakesWhatIsTheServicesThen) {
  Status status = Shell(
      "mkdir lib && echo x > lib/a && chmod 6777 lib/a && chmod 700 lib && ln -s /etc/shadow s && "
      "mkfifo p && id -u > uid");
  ASSERT_TRUE(status.ok()) << status.message();
  struct stat made{};
  ASSERT_EQ(stat((build_ / "lib/a").c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, geteuid());
  EXPECT_EQ(made.st_mode & 07777, 0755u);
  ASSERT_EQ(stat((build_ / "lib").c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 07777, 0755u);
  EXPECT_FALSE(fs::exists(build_ / "p"));
  ASSERT_EQ(lstat((build_ / "s").c_str(), &made), 0);
  EXPECT_TRUE(S_ISLNK(made.st_mode));
  if (geteuid() == 0) EXPECT_EQ(Read(build_ / "uid"), std::to_string(options_.first_uid) + "\n");
}

TEST_F(Tool, SaysWhyItFailed) {
  Status status = Shell("echo the reason >&2; exit 3");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_EQ(status.message(), "sh failed: the reason");
}

TEST_F(Tool, SeesNothingOfOthers) {
  setenv("OF_THE_SERVICE", "of-the-service", 1);
  setenv("PIP_OF_THE_OPERATOR", "for-tools", 1);
  fs::create_directories(directory_ / "sources/other");
  std::ofstream(directory_ / "sources/other/f.py") << "secret";
  Status status = Python(
      "import glob, os, socket\n"
      "def read(p):\n"
      "  try: return open(p, 'rb').read().decode('latin1')\n"
      "  except OSError: return ''\n"
      "env = ''.join(read(p) for p in glob.glob('/proc/[0-9]*/environ')) + str(os.environ)\n"
      "seen = [p for p in ['/etc/shadow', '/root', '/home', '/var', '/sys', '/run', '" +
      directory_.string() +
      "'] if os.path.exists(p)]\n"
      "caps = [l for l in read('/proc/self/status').splitlines() if l[:4] in ('CapE', 'CapP')]\n"
      "print('env', 'of-the-service' in env, 'for-tools' in env, 'seen', seen,\n"
      "      'pids', len(glob.glob('/proc/[0-9]*')), 'caps', sum(int(c.split()[1], 16) for c in "
      "caps),\n"
      "      'fds', len(os.listdir('/proc/self/fd')))\n"
      "for d in ['/', '/usr', '/etc', '/egress']:\n"
      "  try: open(d + '/x', 'w'); print('wrote', d)\n"
      "  except OSError: pass\n"
      "raise SystemExit(1)\n");
  unsetenv("OF_THE_SERVICE");
  unsetenv("PIP_OF_THE_OPERATOR");
  EXPECT_EQ(status.message(), "python3 failed: env False True seen [] pids 2 caps 0 fds 4");
}

TEST_F(Tool, ReachesNoServiceOfTheMachine) {
  Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 10), 0);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  int port = ntohs(address.sin_port);
  options_.network.ports.push_back(static_cast<uint16_t>(port));
  std::string attempt = fmt::format(
      "import socket\n"
      "for host in ['127.0.0.1', '10.0.0.1', '169.254.169.254']:\n"
      "  for port in [{}, 5432, 9092]:\n"
      "    try:\n"
      "      s = socket.create_connection((host, port), timeout=5); s.sendall(b'x')\n"
      "      print(host, port, 'answered' if s.recv(1) else 'closed')\n"
      "    except OSError as e: print(host, port, type(e).__name__)\n"
      "raise SystemExit(1)\n",
      port);
  Status status = Python(attempt);
  EXPECT_THAT(status.message(), HasSubstr("127.0.0.1 5432"));
  EXPECT_THAT(status.message(), Not(HasSubstr("answered")));
  EXPECT_THAT(status.message(), Not(HasSubstr("timed out")));
  pollfd waiting{.fd = listener.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0) << "it reached a service of the machine";
}

TEST_F(Tool, ForkBomb) {
  run_.processes = 64;
  run_.limit = 3s;
  Status status = Shell("f() { f | f & sleep 100; }; f; wait");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), ::testing::AnyOf(HasSubstr("took longer"), HasSubstr("ork")));
}

TEST_F(Tool, DiskFiller) {
  run_.disk_bytes = 16 << 20;
  Status status = Python(
      "import os, time\n"
      "for n in range(1000000):\n"
      "  with open(f'f{n}', 'wb') as f: f.write(b'x' * 1000000)\n");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("wrote more than 16 MB"));
  // One file, and /tmp.
  for (const auto& entry : fs::directory_iterator(build_)) fs::remove_all(entry.path());
  status = Python("open('one', 'wb').write(b'x' * (17 << 20))");
  EXPECT_THAT(status.message(), HasSubstr("File too large"));
  status = Python("open('/tmp/one', 'wb').write(b'x' * (65 << 20))");
  EXPECT_THAT(status.message(),
              ::testing::AnyOf(HasSubstr("No space left"), HasSubstr("too large")));
}

TEST_F(Tool, MemoryBomb) {
  run_.memory_bytes = 64 << 20;
  Status status = Python("a = []\nwhile True: a.append(b'x' * 1000000)\n");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), ::testing::AnyOf(HasSubstr("MemoryError"), HasSubstr("memory")));
}

TEST_F(Tool, EndsWithItsTimeHoweverItHides) {
  run_.limit = 1s;
  Status status = Shell("echo begun; exec >&- 2>&-; sleep 100 & sleep 100");
  EXPECT_EQ(status.message(), "sh took longer than 1 s: begun");
  // What it left in the background ends with it.
  status = Shell("(sleep 100 >/dev/null 2>&1 &) ; echo done");
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_F(Tool, EndsWithTheService) {
  std::atomic<bool> stop = false;
  run_.stop = &stop;
  std::thread later([&] {
    while (Processes() == 0) std::this_thread::yield();
    stop = true;
  });
  Tools tools(options_);
  run_.words = {"/bin/sleep", "100"};
  Status status = tools.Run(run_);
  later.join();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_EQ(Processes(), 0);
}

TEST_F(Tool, FloodsAreCut) {
  run_.limit = 2s;
  Status status = Shell("yes; true");
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_LT(status.message().size(), 9000u);
}

}  // namespace
}  // namespace dispatch::tool_contract
