#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "function-manager/src/runtime/testing/runner_fixture.h"

namespace dispatch::runtime::hostile_contract {
namespace {

using testing::HasSubstr;

/// Functions that mean harm: each is contained, is told apart rightly, and its neighbour's runs
/// work while it does what it does.
class Hostile : public RunnerFixture {
 protected:
  Hostile() {
    setenv("DISPATCH_TEST_SECRET", "of-the-service", 1);
    neighbour_ = Python("def handle(ctx, payload): return payload\n");
  }

  RunOutcome Attack(const Runner::VersionPtr& version, json::value payload = nullptr,
                    std::chrono::milliseconds timeout = 3s) {
    EXPECT_EQ(Failure(Run(neighbour_, 0)), "");
    EXPECT_TRUE(Prove(version).ok());  // the time is for the attack, not for the start
    auto attack = Begin(version, std::move(payload), timeout);
    for (int i = 0; i < 5 || !attack->has_value(); ++i) {
      RunOutcome beside = Run(neighbour_, i, 5s);
      EXPECT_EQ(Failure(beside), "");
      EXPECT_EQ(beside.payload, json::value(i));
      (void)loop_.RunUntil([&] { return attack->has_value(); }, 20ms);
    }
    RunOutcome outcome = Await(attack);
    RunOutcome after = Run(neighbour_, "after");
    EXPECT_EQ(after.payload, json::value("after"));
    EXPECT_FALSE(after.cold) << "the neighbour lost its worker";
    return outcome;
  }

  std::shared_ptr<FunctionVersion> neighbour_;
};

TEST_F(Hostile, ForkBomb) {
  auto version = Python(
      "import os\n"
      "def handle(ctx, payload):\n"
      "  n = 0\n"
      "  while True:\n"
      "    try:\n"
      "      if os.fork() == 0: os.setsid()\n"
      "    except OSError: n += 1\n");
  version->processes = 16;
  EXPECT_TRUE(Prove(version).ok());
  auto attack = Begin(version, nullptr, 1200ms);
  int most = 0;
  while (!attack->has_value()) {
    EXPECT_EQ(Failure(Run(neighbour_, 1, 5s)), "");
    most = std::max(most, Processes());
  }
  EXPECT_EQ(Failure(Await(attack)), "FunctionError: Function execution exceeded the timeout");
  EXPECT_LE(most, 16 + 8) << "its 16, the neighbour's, and bwrap's of both";
  EXPECT_GE(most, 12) << "there was no bomb";
  runner_.reset();
  EXPECT_TRUE(Until([&] { return Processes() == 0; }));
}

TEST_F(Hostile, MemoryBombs) {
  auto version = Python(
      "import mmap, os, time\n"
      "def eat():\n"
      "  hold = []\n"
      "  while True: hold.append(b'x' * 10_000_000)\n"
      "def handle(ctx, payload):\n"
      "  if payload == 'heap': eat()\n"
      "  if payload == 'shared':\n"
      "    m = mmap.mmap(-1, 2_000_000_000)\n"
      "    for i in range(0, len(m), 4096): m[i] = 1\n"
      "  if payload == 'family':\n"
      "    for i in range(8):\n"
      "      if os.fork() == 0:\n"
      "        try: hold = [b'x' * 10_000_000 for i in range(20)]\n"
      "        except MemoryError: pass\n"
      "        time.sleep(100)\n"
      "    time.sleep(100)\n"
      "  return 'survived'\n");
  version->memory_bytes = 128 * 1024 * 1024;
  EXPECT_EQ(Failure(Attack(version, "heap")), "FunctionError: MemoryError");
  EXPECT_THAT(Failure(Attack(version, "shared")), HasSubstr("Error: "));
  EXPECT_THAT(Failure(Attack(version, "family", 1500ms)), HasSubstr("FunctionError: "));
  EXPECT_EQ(Run(version).payload, json::value("survived"));
  auto node = Node(
      "module.exports = (c, p) => { const a = []; while (p) a.push('x'.repeat(1000) + a.length); "
      "};\n");
  node->memory_bytes = 64 * 1024 * 1024;
  EXPECT_THAT(Failure(Attack(node, true, 20s)), HasSubstr("FunctionError: The function"));
  EXPECT_EQ(Failure(Run(node, false)), "");
}

TEST_F(Hostile, DiskFiller) {
  auto version = Python(
      "import os\n"
      "def fill(directory):\n"
      "  total = 0\n"
      "  for n in range(100):\n"
      "    try:\n"
      "      with open(f'{directory}/{n}', 'wb') as f:\n"
      "        while True:\n"
      "          f.write(b'x' * 65536); f.flush(); total += 65536\n"
      "    except OSError: pass\n"
      "  return total\n"
      "def handle(ctx, payload):\n"
      "  return {d: fill(d) for d in ['/tmp', '/', '/dev', '/dev/shm', '/function', '/runtime', "
      "'/usr',\n"
      "          '/etc', '/proc', '/var', '/run', '/proc/self']}\n");
  version->file_bytes = 4 * 1024 * 1024;
  RunOutcome outcome = Attack(version, nullptr, 20s);
  ASSERT_EQ(Failure(outcome), "");
  for (const auto& [directory, bytes] : outcome.payload.as_object()) {
    int64_t most = directory == "/tmp" ? 4 << 20 : directory == "/dev/shm" ? 1 << 20 : 0;
    EXPECT_LE(bytes.as_int64(), most) << directory;
  }
  EXPECT_GT(outcome.payload.as_object()["/tmp"].as_int64(), 1 << 20);
}

TEST_F(Hostile, OutputFlood) {
  auto version = Python(
      "import os\n"
      "def handle(ctx, payload):\n"
      "  while True: os.write(1, b'x' * 65536); os.write(2, b'\\n' * 65536)\n");
  RunOutcome outcome = Attack(version, nullptr, 1s);
  EXPECT_EQ(Failure(outcome), "FunctionError: Function execution exceeded the timeout");
  EXPECT_TRUE(outcome.logs_cut);
  size_t bytes = 0;
  for (const auto& line : outcome.out) bytes += line.size();
  for (const auto& line : outcome.err) bytes += line.size() + 1;
  EXPECT_LE(bytes, options_.log_bytes);
}

TEST_F(Hostile, OutputAfterTheAnswer) {
  auto version = Python(
      "import threading\n"
      "def flood():\n"
      "  while True: print('x' * 1000)\n"
      "def handle(ctx, payload):\n"
      "  if payload: threading.Thread(target=flood, daemon=True).start()\n"
      "  return 1\n");
  EXPECT_EQ(Failure(Attack(version, true)), "");
  EXPECT_EQ(Failure(Attack(version, false)), "");
}

TEST_F(Hostile, InfiniteLoops) {
  EXPECT_EQ(
      Failure(Attack(Python("def handle(ctx, payload):\n  while True: pass\n"), nullptr, 500ms)),
      "FunctionError: Function execution exceeded the timeout");
  EXPECT_EQ(Failure(Attack(Node("module.exports = () => { for (;;); };\n"), nullptr, 500ms)),
            "FunctionError: Function execution exceeded the timeout");
  EXPECT_EQ(
      Failure(Attack(Node("module.exports = () => new Promise(() => {});\n"), nullptr, 500ms)),
      "FunctionError: Function execution exceeded the timeout");
}

TEST_F(Hostile, LoopsInAsManyWorkersAsThereAreLeaveOneToOthers) {
  options_.max_workers = 8;
  neighbour_->org = "neighbour";
  auto version = Python("def handle(ctx, payload):\n  while True: pass\n");
  version->concurrency = 64;
  std::vector<std::shared_ptr<std::optional<RunOutcome>>> attacks;
  for (int i = 0; i < 64; ++i) attacks.push_back(Begin(version, nullptr, 10min));
  ASSERT_TRUE(Until([&] { return runner().stats().busy == 6; }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Failure(Run(neighbour_, i)), "");
  EXPECT_FALSE(attacks[0]->has_value());
  EXPECT_EQ(runner().stats().busy, 6);
}

TEST_F(Hostile, NetworkIsOutOfReach) {
  auto version = Python(
      "import os, socket\n"
      "def attempt(family, kind, address):\n"
      "  try:\n"
      "    s = socket.socket(family, kind); s.settimeout(0.2); s.connect(address); return "
      "'connected'\n"
      "  except OSError as e: return 'refused'\n"
      "def handle(ctx, port):\n"
      "  tried = {}\n"
      "  for host in ['127.0.0.1', '169.254.169.254', '10.0.0.1', '1.1.1.1']:\n"
      "    tried[host] = attempt(socket.AF_INET, socket.SOCK_STREAM, (host, port))\n"
      "  tried['udp'] = attempt(socket.AF_INET, socket.SOCK_DGRAM, ('1.1.1.1', 53))\n"
      "  tried['v6'] = attempt(socket.AF_INET6, socket.SOCK_STREAM, ('::1', port))\n"
      "  tried['raw'] = attempt(socket.AF_PACKET, socket.SOCK_RAW, ('lo', 0))\n"
      "  tried['vsock'] = attempt(40, socket.SOCK_STREAM, (2, 1))\n"
      "  tried['abstract'] = attempt(socket.AF_UNIX, socket.SOCK_STREAM, '\\0dispatch-test')\n"
      "  return sorted(k for k, v in tried.items() if v == 'connected')\n");
  // A port that does listen, to tell a closed one from one that is out of reach.
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 10), 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  int port = ntohs(address.sin_port);
  RunOutcome outcome = Attack(version, port, 20s);
  EXPECT_EQ(json::Serialize(outcome.payload), "[]") << Failure(outcome);
  close(listener);
}

TEST_F(Hostile, SignalsReachNobodyElse) {
  auto version = Python(
      "import os, signal\n"
      "def handle(ctx, payload):\n"
      "  done = []\n"
      "  for pid in [payload, os.getppid(), 1]:\n"
      "    try: os.kill(pid, signal.SIGKILL); done.append(pid)\n"
      "    except OSError: pass\n"
      "  return done\n");
  RunOutcome outcome = Attack(version, getpid());
  ASSERT_EQ(Failure(outcome), "") << "it ended its own sandbox";
  // As the same user it may signal the first process of its sandbox, to no effect.
  for (const auto& pid : outcome.payload.as_array()) EXPECT_EQ(pid, json::value(1));
  EXPECT_FALSE(Run(version, getpid()).cold);
  auto all = Python(
      "import os, signal\n"
      "def handle(ctx, payload):\n"
      "  try: os.kill(-1, signal.SIGKILL)\n"
      "  except ProcessLookupError: pass\n"
      "  os.kill(os.getpid(), signal.SIGKILL)\n");
  EXPECT_EQ(Failure(Attack(all)),
            "FunctionError: The function's process ended (signal 9) before it answered");
}

TEST_F(Hostile, SeesNothingOfTheServiceNorOfOthers) {
  auto secret = Python("def handle(ctx, payload): return 1\n");
  std::string file = secret->source + "/f.py";
  auto version = Python(
      "import glob, os\n"
      "def read(path):\n"
      "  try: return open(path, 'rb').read(100000).decode('latin1')\n"
      "  except OSError: return ''\n"
      "def handle(ctx, payload):\n"
      "  env = ''.join(read(p) for p in glob.glob('/proc/[0-9]*/environ'))\n"
      "  args = ''.join(read(p) for p in glob.glob('/proc/[0-9]*/cmdline'))\n"
      "  uid = set(l.split()[1] for l in read('/proc/self/status').splitlines() if l[:4] == "
      "'Uid:')\n"
      "  caps = set(l.split()[1] for l in read('/proc/self/status').splitlines() if l[:4] in "
      "('CapE', 'CapP'))\n"
      "  nnp = [l.split()[1] for l in read('/proc/self/status').splitlines() if l[:5] == 'NoNew']\n"
      "  return {'env': 'of-the-service' in env + str(os.environ), 'file': read(payload) != '',\n"
      "          'host': [p for p in ['/etc/shadow', '/etc/passwd', '/root', '/home', '/var', "
      "'/tmp/home',\n"
      "                   '/sys', '/run', '/boot'] if os.path.exists(p)],\n"
      "          'pids': len(glob.glob('/proc/[0-9]*')), 'root': '0' in uid,\n"
      "          'caps': sorted(caps), 'nnp': nnp, 'tmp': os.listdir('/tmp'),\n"
      "          'fds': sorted(os.listdir('/proc/self/fd'))[:3], 'nfds': "
      "len(os.listdir('/proc/self/fd'))}\n");
  RunOutcome outcome = Attack(version, json::value(file));
  ASSERT_EQ(Failure(outcome), "");
  const auto& seen = outcome.payload.as_object();
  EXPECT_EQ(seen.at("env"), json::value(false));
  EXPECT_EQ(seen.at("file"), json::value(false));
  EXPECT_EQ(json::Serialize(seen.at("host")), "[]");
  EXPECT_EQ(seen.at("pids"), json::value(2)) << "itself and bwrap";
  EXPECT_EQ(seen.at("root"), json::value(false));
  EXPECT_EQ(json::Serialize(seen.at("caps")), R"(["0000000000000000"])");
  EXPECT_EQ(json::Serialize(seen.at("nnp")), R"(["1"])");
  EXPECT_EQ(json::Serialize(seen.at("tmp")), "[]");
  EXPECT_EQ(seen.at("nfds"), json::value(5)) << "0, 1, 2, the channel, and the listing's own";
}

TEST_F(Hostile, SystemCallsOfTheKernelsBackDoorsAreRefused) {
  auto version = Python(
      "import ctypes, errno\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "def attempt(number, *args):\n"
      "  ctypes.set_errno(0)\n"
      "  return libc.syscall(number, *args), ctypes.get_errno()\n"
      "def handle(ctx, payload):\n"
      "  calls = payload\n"
      "  return [name for name, (number, *args) in calls.items() if attempt(number, *args)[1] not "
      "in (errno.EPERM, errno.ENOSYS)]\n");
  json::object calls{{"ptrace", {SYS_ptrace, 0, 0, 0, 0}},
                     {"mount", {SYS_mount, 0, 0, 0, 0, 0}},
                     {"unshare", {SYS_unshare, 0x10000000}},
                     {"clone-newuser", {SYS_clone, 0x10000000 | 17, 0, 0, 0, 0}},
                     {"clone3", {SYS_clone3, 0, 0}},
                     {"bpf", {SYS_bpf, 0, 0, 0}},
                     {"keyctl", {SYS_keyctl, 0, 0, 0}},
                     {"io_uring", {425, 1, 0}},
                     {"userfaultfd", {SYS_userfaultfd, 0}},
                     {"perf", {SYS_perf_event_open, 0, 0, 0, 0, 0}},
                     {"memfd", {SYS_memfd_create, 0, 0}},
                     {"setns", {SYS_setns, 0, 0}},
                     {"tiocsti", {SYS_ioctl, 0, 0x5412, 0}}};
  RunOutcome outcome = Attack(version, calls);
  EXPECT_EQ(json::Serialize(outcome.payload), "[]") << Failure(outcome);
}

TEST_F(Hostile, EndsInEveryWay) {
  auto version = Python(
      "import os, signal\n"
      "def handle(ctx, payload):\n"
      "  if payload == 'exit': os._exit(7)\n"
      "  if payload == 'abort': os.abort()\n"
      "  if payload == 'close':\n"
      "    os.closerange(3, 100)\n"
      "    signal.pause()\n"
      "  if payload == 'closeall':\n"
      "    os.closerange(0, 100)\n"
      "  if payload == 'garbage':\n"
      "    for fd in range(3, 100):\n"
      "      try: os.write(fd, b'\\0\\0\\0\\3abc')\n"
      "      except OSError: pass\n"
      "    signal.pause()\n"
      "  if payload == 'length':\n"
      "    for fd in range(3, 100):\n"
      "      try: os.write(fd, b'\\xff\\xff\\xff\\xff')\n"
      "      except OSError: pass\n"
      "    signal.pause()\n"
      "  return 1\n");
  EXPECT_EQ(Failure(Attack(version, "exit")),
            "FunctionError: The function's process ended (exit code 7) before it answered");
  EXPECT_EQ(Failure(Attack(version, "abort")),
            "FunctionError: The function's process ended (signal 6) before it answered");
  EXPECT_EQ(Failure(Attack(version, "close")),
            "FunctionError: The function closed the connection to its runtime");
  EXPECT_THAT(Failure(Attack(version, "closeall")), HasSubstr("FunctionError: The function"));
  EXPECT_THAT(Failure(Attack(version, "garbage")),
              HasSubstr("FunctionError: The function's answer is no JSON"));
  EXPECT_THAT(Failure(Attack(version, "length")),
              HasSubstr("FunctionError: The function's answer is larger"));
  EXPECT_EQ(Run(version).payload, json::value(1));
  EXPECT_EQ(Failure(Attack(Node("module.exports = () => process.exit(3);\n"))),
            "FunctionError: The function's process ended (exit code 3) before it answered");
}

TEST_F(Hostile, WordsBetweenRunsAreNoAnswer) {
  auto version = Python(
      "import os, threading, time\n"
      "def late():\n"
      "  time.sleep(0.1)\n"
      "  for fd in range(3, 100):\n"
      "    try: os.write(fd, b'\\0\\0\\0\\x0d{\"payload\":9}')\n"
      "    except OSError: pass\n"
      "def handle(ctx, payload):\n"
      "  if payload: threading.Thread(target=late).start()\n"
      "  return 1\n");
  EXPECT_EQ(Run(version, true).payload, json::value(1));
  ASSERT_TRUE(Until([&] { return runner().stats().workers == 0; }));
  EXPECT_EQ(Run(version, false).payload, json::value(1));
}

}  // namespace
}  // namespace dispatch::runtime::hostile_contract
