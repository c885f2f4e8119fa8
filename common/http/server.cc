#include "common/http/server.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "common/http/internal/address.h"
#include "common/http/internal/connection.h"
#include "common/http/internal/tls_server.h"
#include "common/log.h"

namespace dispatch::http {

using dispatch::internal::IoDescriptor;
using internal::Connection;
using internal::ServerCore;
using internal::SocketAddress;
using internal::TlsCertificate;
using internal::TlsSession;

namespace {

// How many connections one turn of the loop accepts, so that those that are open get theirs.
constexpr int kAcceptBatch = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::milliseconds kCertificateInterval{2'000};

}  // namespace

struct Server::Impl : ServerCore, std::enable_shared_from_this<Server::Impl> {
  using ServerCore::ServerCore;

  struct Listening {
    IoDescriptor socket;
    std::unique_ptr<TlsCertificate> certificate;  // null: without TLS
  };
  using Listener = std::shared_ptr<Listening>;

  Result<uint16_t> Listen(const std::string& text, std::unique_ptr<TlsCertificate> certificate);
  void Take(int listening, std::unique_ptr<TlsCertificate> certificate);
  void RefreshCertificates();
  void WaitAccept(const Listener& listener);
  void Accept(const Listener& listener);
  void Admit(int fd, const SocketAddress& peer, TlsCertificate* certificate);
  void CloseListeners();
  void CloseAll();
  void FinishDrain();

  std::vector<Listener> listeners;
  TimerId drain_timer = kNoTimer;
  TimerId certificate_timer = kNoTimer;
  std::function<void()> drained;
};

Server::Server(EventLoop& loop, ServerOptions options, Handler handler)
    : impl_(std::make_shared<Impl>(loop, options, std::move(handler))) {}

Server::~Server() {
  impl_->closed = true;
  impl_->on_empty = nullptr;
  impl_->drained = nullptr;
  impl_->loop.Cancel(impl_->drain_timer);
  impl_->loop.Cancel(impl_->certificate_timer);
  impl_->CloseListeners();
  impl_->CloseAll();
}

Result<uint16_t> Server::Listen(const std::string& address) {
  return impl_->Listen(address, nullptr);
}

void Server::Serve(int listening) { impl_->Take(listening, nullptr); }

Result<uint16_t> Server::ListenTls(const std::string& address, const std::string& certificate_file,
                                   const std::string& key_file) {
  auto certificate = std::make_unique<TlsCertificate>(certificate_file, key_file);
  RETURN_IF_ERROR(certificate->Load());
  ASSIGN_OR_RETURN(uint16_t port, impl_->Listen(address, std::move(certificate)));
  if (impl_->certificate_timer == kNoTimer) impl_->RefreshCertificates();
  return port;
}

void Server::Impl::RefreshCertificates() {
  for (const auto& listener : listeners) {
    if (listener->certificate != nullptr) listener->certificate->Refresh();
  }
  certificate_timer = loop.After(kCertificateInterval, [this] { RefreshCertificates(); });
}

Result<uint16_t> Server::Impl::Listen(const std::string& text,
                                      std::unique_ptr<TlsCertificate> certificate) {
  ASSIGN_OR_RETURN(SocketAddress address, internal::ParseListenAddress(text));
  int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (fd < 0 || bind(fd, address.get(), address.length) != 0 || listen(fd, 4096) != 0) {
    int error = errno;
    if (fd >= 0) close(fd);
    return {
        Code::kUnavailable,
        fmt::format("cannot listen at {}: {}{}", text, std::strerror(error),
                    error == EADDRINUSE ? "; stop what listens there or take another port" : "")};
  }
  SocketAddress bound;
  bound.length = sizeof(bound.storage);
  getsockname(fd, bound.get(), &bound.length);
  Take(fd, std::move(certificate));
  return bound.port();
}

void Server::Impl::Take(int listening, std::unique_ptr<TlsCertificate> certificate) {
  listeners.push_back(std::make_shared<Listening>(
      Listening{IoDescriptor(loop.impl().io, listening), std::move(certificate)}));
  WaitAccept(listeners.back());
}

void Server::Impl::WaitAccept(const Listener& listener) {
  listener->socket.async_wait(IoDescriptor::wait_read,
                              [self = weak_from_this(), listener](boost::system::error_code error) {
                                auto impl = self.lock();
                                if (error || !impl || impl->closed || impl->draining) return;
                                impl->Accept(listener);
                              });
}

void Server::Impl::Accept(const Listener& listener) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    SocketAddress peer;
    peer.length = sizeof(peer.storage);
    int fd = accept4(listener->socket.native_handle(), peer.get(), &peer.length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Admit(fd, peer, listener->certificate.get());
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The waiting connection keeps the listener readable: look again after a while.
      if (log::Sometimes("http.accept")) {
        log::Warning("cannot accept error=\"{}\"; raise the limit of open files",
                     std::strerror(errno));
      }
      loop.After(kAcceptPause, [self = weak_from_this(), listener] {
        auto impl = self.lock();
        if (impl && !impl->closed && !impl->draining) impl->WaitAccept(listener);
      });
      return;
    } else {
      break;
    }
  }
  WaitAccept(listener);
}

void Server::Impl::Admit(int fd, const SocketAddress& peer, TlsCertificate* certificate) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  std::unique_ptr<TlsSession> tls;
  if (certificate != nullptr) {
    tls = certificate->context()->Accept(fd);
    if (tls == nullptr) {
      close(fd);
      return;
    }
  }
  auto connection =
      std::make_shared<Connection>(shared_from_this(), fd, peer.Host(), std::move(tls));
  bool room = connections.size() < options.max_connections;
  connections.emplace(connection.get(), connection);
  if (room) {
    connection->Start();
  } else {
    connection->Refuse();
  }
}

void Server::Impl::CloseListeners() {
  boost::system::error_code ignored;
  for (const auto& listener : listeners) listener->socket.close(ignored);
  listeners.clear();
}

void Server::Impl::CloseAll() {
  auto all = std::move(connections);
  connections.clear();
  for (const auto& entry : all) entry.second->Close();
}

void Server::Drain(std::chrono::milliseconds deadline, std::function<void()> done) {
  Impl& impl = *impl_;
  impl.draining = true;
  impl.drained = std::move(done);
  impl.CloseListeners();
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& entry : impl.connections) all.push_back(entry.second);
  for (const auto& connection : all) connection->BeginDrain();
  auto finish = [weak = impl.weak_from_this()] {
    if (auto self = weak.lock()) self->FinishDrain();
  };
  if (impl.connections.empty()) {
    impl.loop.Post(finish);
    return;
  }
  impl.on_empty = finish;
  impl.drain_timer = impl.loop.After(deadline, finish);
}

void Server::Impl::FinishDrain() {
  on_empty = nullptr;
  loop.Cancel(drain_timer);
  CloseAll();
  if (drained) std::exchange(drained, nullptr)();
}

size_t Server::connections() const { return impl_->connections.size(); }

}  // namespace dispatch::http
