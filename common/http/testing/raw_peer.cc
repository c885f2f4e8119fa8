#include "common/http/testing/raw_peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/check.h"

namespace dispatch::http::testing {

namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

struct RawPeer::State {
  EventLoop& loop;
  int fd;
  std::string received;
  bool closed = false;
  bool watching = false;

  void Watch() {
    if (watching || fd < 0 || closed) return;
    watching = true;
    loop.WatchReadable(fd, [this] { Read(); });
  }
  void Unwatch() {
    if (watching) loop.Unwatch(fd);
    watching = false;
  }
  void Read() {
    char buffer[65536];
    ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size > 0) {
      received.append(buffer, static_cast<size_t>(size));
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
      closed = true;
      Unwatch();
    }
  }
};

RawPeer RawPeer::Connect(EventLoop& loop, uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  DISPATCH_CHECK(fd >= 0);
  sockaddr_in address = Loopback(port);
  // The backlog takes it at once; refused shows as closed.
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    RawPeer peer(loop, fd);
    peer.state_->Unwatch();
    peer.state_->closed = true;
    return peer;
  }
  return {loop, fd};
}

RawPeer::RawPeer(EventLoop& loop, int fd) : state_(std::make_unique<State>(State{loop, fd, {}})) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  state_->Watch();
}

RawPeer::~RawPeer() {
  if (state_) Close();
}

void RawPeer::Send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    ssize_t size =
        send(state_->fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size > 0) {
      sent += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {
      // The other side reads on this very loop.
      bool turned = false;
      state_->loop.Post([&turned] { turned = true; });
      state_->loop.RunUntil([&turned] { return turned; }, std::chrono::seconds(1));
    } else {
      return;  // it closed; the test sees that in closed()
    }
  }
}

void RawPeer::ShutdownWrite() { shutdown(state_->fd, SHUT_WR); }

void RawPeer::Close(bool reset) {
  if (state_->fd < 0) return;
  state_->Unwatch();
  if (reset) {
    linger hard{1, 0};
    setsockopt(state_->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  }
  close(std::exchange(state_->fd, -1));
}

void RawPeer::Pause() { state_->Unwatch(); }
void RawPeer::Resume() { state_->Watch(); }
const std::string& RawPeer::received() const { return state_->received; }
void RawPeer::Clear() { state_->received.clear(); }
bool RawPeer::closed() const { return state_->closed; }

RawListener::RawListener(EventLoop& loop) : loop_(loop) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  DISPATCH_CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
  DISPATCH_CHECK(listen(fd_, 128) == 0);
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  loop_.WatchReadable(fd_, [this] {
    int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) peers.push_back(std::make_unique<RawPeer>(loop_, fd));
  });
}

RawListener::~RawListener() {
  loop_.Unwatch(fd_);
  close(fd_);
}

}  // namespace dispatch::http::testing
