// What functions with a network reach, and what not: real sandboxes, servers of this test on the
// machine's loopback.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "function-manager/src/runtime/internal/egress.h"
#include "function-manager/src/runtime/testing/runner_fixture.h"

namespace dispatch::runtime::network_contract {
namespace {

using ::testing::HasSubstr;

uint32_t Address(const char* text) { return ntohl(inet_addr(text)); }

/// Answers each connection with what it says, until it says no more; datagrams with "name".
class Server {
 public:
  explicit Server(int type) : fd_(socket(AF_INET, type | SOCK_CLOEXEC, 0)), type_(type) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    if (type == SOCK_STREAM) listen(fd_.get(), 10);
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  uint16_t port() const { return port_; }
  int asked() const { return asked_; }

 private:
  void Serve() {
    std::vector<char> bytes(1 << 16);
    if (type_ == SOCK_DGRAM) {
      sockaddr_in from{};
      socklen_t size = sizeof(from);
      auto* address = reinterpret_cast<sockaddr*>(&from);
      while (recvfrom(fd_.get(), bytes.data(), bytes.size(), 0, address, &size) > 0) {
        ++asked_;
        (void)sendto(fd_.get(), "name", 4, 0, address, size);
      }
      return;
    }
    for (;;) {
      Fd each(accept(fd_.get(), nullptr, nullptr));
      if (!each) return;
      ++asked_;
      for (ssize_t count; (count = read(each.get(), bytes.data(), bytes.size())) > 0;) {
        for (ssize_t sent = 0; sent < count;) {
          ssize_t now = send(each.get(), bytes.data() + sent, static_cast<size_t>(count - sent),
                             MSG_NOSIGNAL);
          if (now <= 0) break;
          sent += now;
        }
      }
    }
  }

  Fd fd_;
  int type_;
  uint16_t port_ = 0;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

class Network : public RunnerFixture {
 protected:
  Network() { options_.network.ports = {server_.port(), 53}; }
  auto Open(const std::string& text) {
    auto version = Python(text);
    version->network = true;
    return version;
  }
  // What a connection to (host, port) answers to `bytes` bytes: how many come back.
  auto Echo() {
    return Open(
        "import socket, threading\n"
        "def handle(ctx, p):\n"
        "  with socket.create_connection((p['host'], p['port']), timeout=5) as s:\n"
        "    def send():\n"
        "      s.sendall(b'x' * p['bytes'])\n"
        "      s.shutdown(socket.SHUT_WR)\n"
        "    threading.Thread(target=send).start()\n"
        "    got = 0\n"
        "    while (more := s.recv(65536)): got += len(more)\n"
        "    return got\n");
  }
  json::value To(const std::string& host, int64_t bytes, int port = 0) {
    return {{"host", host}, {"port", port != 0 ? port : server_.port()}, {"bytes", bytes}};
  }
  // A connection that is not let through is reset: the function sees that, or an early end.
  static bool Reaches(const RunOutcome& outcome) {
    EXPECT_TRUE(outcome.error || outcome.payload.is_int64());
    return !outcome.error && outcome.payload != json::value(0);
  }
  // A public address of this machine, as far as it has one that is not loopback.
  static std::string OwnAddress() {
    Fd probe(socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(9);
    any.sin_addr.s_addr = inet_addr("192.88.99.1");
    socklen_t size = sizeof(any);
    if (connect(probe.get(), reinterpret_cast<sockaddr*>(&any), size) != 0) return "";
    getsockname(probe.get(), reinterpret_cast<sockaddr*>(&any), &size);
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &any.sin_addr, text, sizeof(text));
    return text;
  }

  Server server_{SOCK_STREAM};
};

TEST_F(Network, ReachesWhatIsAllowed) {
  options_.network.allow = {"127.0.0.1"};
  auto echo = Echo();
  EXPECT_EQ(Run(echo, To("127.0.0.1", 10)).payload, json::value(10));
  RunOutcome much = Run(echo, To("127.0.0.1", 20'000'000));
  EXPECT_EQ(much.payload, json::value(20'000'000)) << Failure(much);
  EXPECT_EQ(server_.asked(), 2);
  // Loopback addresses are 127.0.0.0/8; this one is not allowed.
  EXPECT_FALSE(Reaches(Run(echo, To("127.0.0.2", 10))));
  EXPECT_EQ(server_.asked(), 2);
}

TEST_F(Network, ReachesNothingOfTheMachine) {
  auto echo = Echo();
  std::vector<std::string> hosts = {"127.0.0.1", "0.0.0.0", "169.254.169.254", "10.0.0.1", "::1"};
  if (std::string own = OwnAddress(); !own.empty()) hosts.push_back(own);
  for (const auto& host : hosts) {
    EXPECT_FALSE(Reaches(Run(echo, To(host, 10)))) << host;
  }
  EXPECT_EQ(server_.asked(), 0);
  // Another port than those that may be reached.
  EXPECT_THAT(Failure(Run(echo, To("127.0.0.1", 10, 1))), HasSubstr("refused"));
}

TEST_F(Network, AsksForNamesThroughTheService) {
  Server names(SOCK_DGRAM);
  options_.network.name_servers = {"127.0.0.1:" + std::to_string(names.port())};
  RunOutcome outcome =
      Run(Open("import socket\n"
               "def handle(ctx, p):\n"
               "  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)\n"
               "  s.connect(('127.0.0.1', 53)); s.send(b'question')\n"
               "  return [s.recv(100).decode(), open('/etc/resolv.conf').readline()]\n"));
  EXPECT_EQ(json::Serialize(outcome.payload), "[\"name\",\"nameserver 127.0.0.1\\n\"]")
      << Failure(outcome);
  EXPECT_EQ(names.asked(), 1);
}

TEST_F(Network, IsAllThatItIsGiven) {
  auto version = Open(
      "import os, socket\n"
      "def read(path):\n"
      "  with open(path) as f: return f.read()\n"
      "def attempt(call):\n"
      "  try: call(); return True\n"
      "  except OSError: return False\n"
      "def handle(ctx, p):\n"
      "  caps = set(l.split()[1] for l in read('/proc/self/status').splitlines()\n"
      "             if l[:4] in ('CapE', 'CapP', 'CapI', 'CapA'))\n"
      "  raw = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))\n"
      "  low = attempt(lambda: socket.socket().bind(('127.0.0.1', 80)))\n"
      "  return {'caps': sorted(caps), 'raw': raw, 'low': low, 'root': os.getuid() == 0,\n"
      "          'fds': len(os.listdir('/proc/self/fd'))}\n");
  RunOutcome outcome = Run(version);
  ASSERT_EQ(Failure(outcome), "");
  const auto& seen = outcome.payload.as_object();
  EXPECT_EQ(json::Serialize(seen.at("caps")), R"(["0000000000000000"])");
  EXPECT_EQ(seen.at("raw"), json::value(false));
  EXPECT_EQ(seen.at("low"), json::value(false));
  EXPECT_EQ(seen.at("root"), json::value(false));
  EXPECT_EQ(seen.at("fds"), json::value(5)) << "no listener, no channel to the service";
}

TEST_F(Network, ManyConnectionsAreBounded) {
  options_.network.allow = {"127.0.0.1"};
  options_.network.connections = 4;
  RunOutcome outcome = Run(Open("import socket\n"
                                "def handle(ctx, p):\n"
                                "  socks = [socket.create_connection(('127.0.0.1', p), timeout=5) "
                                "for i in range(20)]\n"
                                "  closed = 0\n"
                                "  for s in socks[4:]:\n"
                                "    try: closed += s.recv(1) == b''\n"
                                "    except ConnectionError: closed += 1\n"
                                "  return closed\n"),
                           server_.port());
  EXPECT_EQ(outcome.payload, json::value(16)) << Failure(outcome);
}

TEST(NetworkPolicy, HasPublicAddressesAndWhatIsAllowed) {
  NetworkPolicy open({});
  EXPECT_TRUE(open.Allows(Address("8.8.8.8")));
  for (const char* text : {"127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1",
                           "0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255"}) {
    EXPECT_FALSE(open.Allows(Address(text))) << text;
  }
  NetworkPolicy some({"10.1.2.0/24", "192.168.0.1", "169.254.0.0/16"});
  EXPECT_TRUE(some.Allows(Address("10.1.2.3")));
  EXPECT_FALSE(some.Allows(Address("10.1.3.3")));
  EXPECT_TRUE(some.Allows(Address("192.168.0.1")));
  EXPECT_FALSE(some.Allows(Address("192.168.0.2")));
  EXPECT_FALSE(some.Allows(Address("169.254.169.254"))) << "a metadata service is never allowed";
  EXPECT_TRUE(NetworkPolicy({"0.0.0.0/0"}).Allows(Address("127.0.0.1")));
}

TEST(NetworkSettings, NameWhatIsWrong) {
  EXPECT_EQ(ParseNetworkAllow(" 10.0.0.0/8, 1.2.3.4 ").value(),
            (std::vector<std::string>{"10.0.0.0/8", "1.2.3.4"}));
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/-1", "host", "::1", "1.2.3", "10.0.0.0/"}) {
    EXPECT_THAT(ParseNetworkAllow(text).message(), HasSubstr(text)) << text;
  }
  EXPECT_EQ(ParseNetworkPorts("80,443").value(), (std::vector<uint16_t>{80, 443}));
  for (const char* text : {"0", "65536", "http", "80-90"}) {
    EXPECT_THAT(ParseNetworkPorts(text).message(), HasSubstr(text)) << text;
  }
  EXPECT_FALSE(ParseNetworkPorts("").ok());
}

}  // namespace
}  // namespace dispatch::runtime::network_contract
