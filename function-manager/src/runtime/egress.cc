#include "function-manager/src/runtime/internal/egress.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <unordered_map>

#include "common/thread_name.h"

namespace dispatch::runtime {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kNice = 5;
constexpr size_t kChunk = 64 * 1024;
constexpr size_t kMostQueries = 64;  // of one sandbox
constexpr size_t kMostQueryBytes = 4096;
constexpr auto kQueryTime = std::chrono::seconds(5);
constexpr int kTickMillis = 1000;
constexpr uint16_t kNamesPort = 53;
constexpr int kEvents = 64;
constexpr useconds_t kNoFilesMicros = 10'000;

/// Watches descriptors on its thread; a handler may remove any of them.
class Reactor {
 public:
  using Handler = std::function<void(uint32_t)>;

  Reactor() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  uint64_t Add(int fd, uint32_t events, Handler handler) {
    uint64_t token = ++last_;
    handlers_[token] = {fd, std::make_shared<Handler>(std::move(handler))};
    epoll_event event{.events = events, .data = {.u64 = token}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    return token;
  }
  void Change(uint64_t token, uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = token}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, handlers_.at(token).first, &event);
  }
  /// Before the descriptor is closed.
  void Remove(uint64_t token) {
    auto found = handlers_.find(token);
    if (found == handlers_.end()) return;
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.first, nullptr);
    handlers_.erase(found);
  }
  void Turn(int millis) {
    std::array<epoll_event, kEvents> events;
    int count = epoll_wait(epoll_.get(), events.data(), kEvents, millis);
    for (int i = 0; i < count; ++i) {
      auto found = handlers_.find(events[static_cast<size_t>(i)].data.u64);
      if (found == handlers_.end()) continue;
      auto handler = found->second.second;
      (*handler)(events[static_cast<size_t>(i)].events);
    }
  }

 private:
  Fd epoll_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, std::pair<int, std::shared_ptr<Handler>>> handlers_;
};

std::vector<sockaddr_in> NameServers(std::vector<std::string> texts) {
  if (texts.empty()) {
    std::ifstream file("/etc/resolv.conf");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key;
      std::string value;
      if (words >> key >> value && key == "nameserver") texts.push_back(value);
    }
  }
  std::vector<sockaddr_in> servers;
  for (const std::string& text : texts) {
    size_t colon = text.find(':');
    std::string host = text.substr(0, colon);
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(kNamesPort);
    if (colon != std::string::npos && text.find(':', colon + 1) == std::string::npos) {
      server.sin_port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
    }
    if (inet_pton(AF_INET, host.c_str(), &server.sin_addr) == 1) servers.push_back(server);
  }
  return servers;
}

const sockaddr* Plain(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Ended by a reset: who is connected learns that it was not the other's orderly end.
void CloseHard(Fd& fd) {
  linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  fd.Reset();
}

/// One connection of a sandbox and what it stands for; bytes wait here only when the other side
/// does not take them, one chunk each way.
class Relay {
 public:
  Relay(Reactor& reactor, Fd inside, Fd outside, std::function<void()> ended)
      : reactor_(reactor), ended_(std::move(ended)) {
    sides_[0].fd = std::move(inside);
    sides_[1].fd = std::move(outside);
    for (size_t i : {size_t{0}, size_t{1}}) {
      // Nothing is read before the connection is there.
      sides_[i].token = reactor_.Add(sides_[i].fd.get(), i == 1 ? EPOLLOUT : 0u,
                                     [this, i](uint32_t events) { On(i, events); });
    }
  }
  ~Relay() {
    for (auto& side : sides_) {
      reactor_.Remove(side.token);
      if (!orderly_) CloseHard(side.fd);
    }
  }

 private:
  struct Side {
    Fd fd;
    uint64_t token = 0;
    std::string waits;    // to be written to it
    bool ended = false;   // nothing more comes from it
    bool closed = false;  // nothing more is written to it
  };

  void On(size_t i, uint32_t events) {
    if (connecting_) return OnConnected(events);
    if ((events & EPOLLERR) != 0) return ended_();
    if ((events & EPOLLOUT) != 0 && !Flush(sides_[i])) return ended_();
    if ((events & (EPOLLIN | EPOLLHUP)) != 0 && !sides_[i].ended && sides_[1 - i].waits.empty() &&
        !Carry(sides_[i], sides_[1 - i])) {
      return ended_();
    }
    Settle();
  }

  void OnConnected(uint32_t events) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(sides_[1].fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || (events & EPOLLOUT) == 0) return ended_();
    connecting_ = false;
    Settle();
  }

  bool Carry(Side& from, Side& to) {
    std::array<char, kChunk> chunk;
    ssize_t size = recv(from.fd.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) {
      from.ended = true;
    } else {
      to.waits.assign(chunk.data(), static_cast<size_t>(size));
    }
    return Flush(to);
  }

  bool Flush(Side& to) {
    while (!to.waits.empty()) {
      ssize_t size =
          send(to.fd.get(), to.waits.data(), to.waits.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return errno == EAGAIN;
      to.waits.erase(0, static_cast<size_t>(size));
    }
    return true;
  }

  void Settle() {
    for (size_t i : {size_t{0}, size_t{1}}) {
      Side& side = sides_[i];
      Side& other = sides_[1 - i];
      if (other.ended && side.waits.empty() && !side.closed) {
        shutdown(side.fd.get(), SHUT_WR);
        side.closed = true;
      }
    }
    if (sides_[0].closed && sides_[1].closed) {
      orderly_ = true;
      return ended_();
    }
    for (size_t i : {size_t{0}, size_t{1}}) {
      Side& side = sides_[i];
      uint32_t events = 0;
      if (!side.ended && sides_[1 - i].waits.empty()) events |= EPOLLIN;
      if (!side.waits.empty()) events |= EPOLLOUT;
      if (side.token == 0) continue;
      if (events == 0 && side.ended && side.closed) {
        reactor_.Remove(std::exchange(side.token, 0));  // that it ended is told without end
      } else {
        reactor_.Change(side.token, events);
      }
    }
  }

  Reactor& reactor_;
  std::function<void()> ended_;
  std::array<Side, 2> sides_;
  bool connecting_ = true;
  bool orderly_ = false;
};

}  // namespace

class Egress::Impl {
 public:
  explicit Impl(NetworkOptions the_options)
      : options(std::move(the_options)),
        policy_(options.allow),
        servers_(NameServers(options.name_servers)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    reactor_.Add(wake_.get(), EPOLLIN, [this](uint32_t) {
      uint64_t count = 0;
      (void)!read(wake_.get(), &count, sizeof(count));
    });
  }

  ~Impl() {
    if (!thread_.joinable()) return;
    Post([this] { ending_ = true; });
    thread_.join();
  }

  uint64_t Add(Fd control) {
    std::call_once(begun_, [this] { thread_ = std::thread([this] { Work(); }); });
    uint64_t id = ++last_gate_;
    Post([this, id, control = std::make_shared<Fd>(std::move(control))] {
      auto& gate = gates_[id];
      gate.control = std::move(*control);
      gate.tokens.push_back(
          reactor_.Add(gate.control.get(), EPOLLIN, [this, id](uint32_t) { OnHelper(id); }));
    });
    return id;
  }

  void Remove(uint64_t id) {
    Post([this, id] { Close(id); });
  }

  const NetworkOptions options;

 private:
  struct Query {
    Fd fd;
    uint64_t token = 0;
    sockaddr_in client{};
    Clock::time_point until;
  };
  struct GateState {
    Fd control;
    std::vector<Fd> listeners;
    Fd names;
    std::vector<uint64_t> tokens;
    std::map<uint64_t, std::unique_ptr<Relay>> relays;
    std::map<uint64_t, Query> queries;
  };

  void Post(std::function<void()> task) {
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    uint64_t one = 1;
    (void)!write(wake_.get(), &one, sizeof(one));
  }

  void Work() {
    NameThread("egress");
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
    while (!ending_) {
      reactor_.Turn(kTickMillis);
      std::vector<std::function<void()>> tasks;
      {
        std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
      }
      for (auto& task : tasks) task();
      ForgetLateQueries();
    }
    while (!gates_.empty()) Close(gates_.begin()->first);
  }

  void Close(uint64_t id) {
    auto found = gates_.find(id);
    if (found == gates_.end()) return;
    for (uint64_t token : found->second.tokens) reactor_.Remove(token);
    for (auto& [number, query] : found->second.queries) reactor_.Remove(query.token);
    gates_.erase(found);
  }

  // What the helper hands over: the socket for names, then the listeners. It comes once.
  void OnHelper(uint64_t id) {
    GateState& gate = gates_.at(id);
    char byte = 0;
    iovec data{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * (kMostPorts + 1))> space{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    ssize_t size = recvmsg(gate.control.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    reactor_.Remove(gate.tokens.front());
    gate.control.Reset();
    cmsghdr* header = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
      if (i == 0) {
        gate.names = Fd(fd);
        gate.tokens.push_back(reactor_.Add(fd, EPOLLIN, [this, id](uint32_t) { OnQuery(id); }));
      } else {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        gate.listeners.emplace_back(fd);
        gate.tokens.push_back(
            reactor_.Add(fd, EPOLLIN, [this, id, fd](uint32_t) { OnConnection(id, fd); }));
      }
    }
  }

  void OnConnection(uint64_t id, int listener) {
    GateState& gate = gates_.at(id);
    sockaddr_in target{};
    socklen_t size = sizeof(target);
    Fd inside(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!inside) {
      if (errno == EMFILE || errno == ENFILE) usleep(kNoFilesMicros);
      return;
    }
    bool known = getsockname(inside.get(), reinterpret_cast<sockaddr*>(&target), &size) == 0;
    uint32_t address = ntohl(target.sin_addr.s_addr);
    bool names = address == INADDR_LOOPBACK && target.sin_port == htons(kNamesPort);
    if (names && !servers_.empty()) target = Server();
    if (!known || gate.relays.size() >= options.connections ||
        (!names && !policy_.Allows(address))) {
      return CloseHard(inside);
    }
    Fd outside(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!outside) return CloseHard(inside);
    int on = 1;
    for (Fd* fd : {&inside, &outside}) {
      setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(outside.get(), Plain(target), sizeof(target)) != 0 && errno != EINPROGRESS) {
      return CloseHard(inside);
    }
    uint64_t number = ++last_relay_;
    gate.relays[number] = std::make_unique<Relay>(reactor_, std::move(inside), std::move(outside),
                                                  [this, id, number] {
                                                    // Not inside one of its own functions.
                                                    std::lock_guard lock(mutex_);
                                                    tasks_.push_back([this, id, number] {
                                                      auto found = gates_.find(id);
                                                      if (found != gates_.end())
                                                        found->second.relays.erase(number);
                                                    });
                                                  });
  }

  sockaddr_in Server() const { return servers_[server_ % servers_.size()]; }

  void OnQuery(uint64_t id) {
    GateState& gate = gates_.at(id);
    std::array<char, kMostQueryBytes> bytes;
    Query query;
    socklen_t length = sizeof(query.client);
    ssize_t size = recvfrom(gate.names.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                            reinterpret_cast<sockaddr*>(&query.client), &length);
    if (size <= 0 || servers_.empty() || gate.queries.size() >= kMostQueries) return;
    query.fd = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in server = Server();
    if (!query.fd || connect(query.fd.get(), Plain(server), sizeof(server)) != 0 ||
        send(query.fd.get(), bytes.data(), static_cast<size_t>(size), MSG_NOSIGNAL) != size) {
      ++server_;
      return;
    }
    query.until = Clock::now() + kQueryTime;
    uint64_t number = ++last_relay_;
    query.token = reactor_.Add(query.fd.get(), EPOLLIN,
                               [this, id, number](uint32_t) { OnReply(id, number); });
    gate.queries.emplace(number, std::move(query));
  }

  void OnReply(uint64_t id, uint64_t number) {
    GateState& gate = gates_.at(id);
    Query& query = gate.queries.at(number);
    std::array<char, kChunk> bytes;
    ssize_t size = recv(query.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0) {
      (void)sendto(gate.names.get(), bytes.data(), static_cast<size_t>(size),
                   MSG_DONTWAIT | MSG_NOSIGNAL, Plain(query.client), sizeof(query.client));
    } else {
      ++server_;
    }
    reactor_.Remove(query.token);
    gate.queries.erase(number);
  }

  void ForgetLateQueries() {
    auto now = Clock::now();
    for (auto& [id, gate] : gates_) {
      for (auto query = gate.queries.begin(); query != gate.queries.end();) {
        if (query->second.until > now) {
          ++query;
          continue;
        }
        ++server_;  // the next one may know more
        reactor_.Remove(query->second.token);
        query = gate.queries.erase(query);
      }
    }
  }

  const NetworkPolicy policy_;
  const std::vector<sockaddr_in> servers_;
  size_t server_ = 0;
  Fd wake_;
  Reactor reactor_;
  std::once_flag begun_;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  std::atomic<uint64_t> last_gate_ = 0;
  // Of the thread.
  bool ending_ = false;
  uint64_t last_relay_ = 0;
  std::map<uint64_t, GateState> gates_;
};

Egress::Egress(NetworkOptions options) : impl_(std::make_shared<Impl>(std::move(options))) {}

Egress::~Egress() = default;

Result<std::unique_ptr<Egress::Gate>> Egress::Open() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return {Code::kUnavailable, "too many open files"};
  }
  Fd helper(pair[1]);
  uint64_t id = impl_->Add(Fd(pair[0]));
  return std::make_unique<Gate>([impl = impl_, id] { impl->Remove(id); }, std::move(helper));
}

std::vector<std::string> Egress::Command(const std::string& python, int descriptor) const {
  std::string ports;
  for (uint16_t port : impl_->options.ports) {
    ports += fmt::format("{}{}", ports.empty() ? "" : ",", port);
  }
  return {python, "-I", "-B", "-S", "/egress/egress.py", std::to_string(descriptor), ports};
}

}  // namespace dispatch::runtime
