#include "common/http/internal/client_connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "common/http/internal/wire.h"

namespace dispatch::http::internal {

namespace {

namespace beast_http = boost::beast::http;
using boost::asio::generic::stream_protocol;
using boost::system::error_code;

constexpr uint32_t kMaxHead = 64 * 1024;
constexpr int kMaxInterim = 8;

}  // namespace

ClientConnection::ClientConnection(std::shared_ptr<ClientCore> core, std::shared_ptr<HostPool> pool)
    : core_(std::move(core)), pool_(std::move(pool)) {
  ++pool_->open;
  ++pool_->opening;
}

ClientConnection::~ClientConnection() {
  core_->loop.Cancel(connect_timer_);
  core_->loop.Cancel(ping_timer_);
}

// ---- opening

void ClientConnection::Open(std::shared_ptr<Exchange> exchange) {
  exchange_ = std::move(exchange);
  exchange_->connection = this;
  if (core_->options.dial) return Dial();
  const std::string& host = exchange_->url->host;
  if (const auto* known = core_->resolver.Cached(host)) return OnAddresses(*known);
  core_->resolver.Resolve(host, [self = shared_from_this()](const Result<Addresses>& answer) {
    if (self->phase_ == Phase::kOpening) self->OnAddresses(answer);
  });
}

void ClientConnection::OnAddresses(const Result<Addresses>& answer) {
  if (!answer.ok()) return Fail(FailureKind::kDns, answer.message());
  addresses_ = *answer;
  std::erase_if(addresses_, [](const SocketAddress& address) { return address.IsMetadata(); });
  if (addresses_.empty()) {
    return Fail(FailureKind::kForbiddenAddress,
                fmt::format("{} is the address of a metadata service", exchange_->url->host));
  }
  if (!core_->options.allow_private_addresses) {
    // What is connected to is what is checked here: a name cannot change its mind in between.
    std::erase_if(addresses_, [](const SocketAddress& address) { return !address.IsPublic(); });
    if (addresses_.empty()) {
      return Fail(FailureKind::kForbiddenAddress,
                  fmt::format("{} is not a public address", exchange_->url->host));
    }
  }
  for (auto& address : addresses_) address.set_port(exchange_->url->port);
  ConnectNext();
}

void ClientConnection::ConnectNext() {
  if (next_address_ == addresses_.size()) {
    return Fail(FailureKind::kConnect,
                fmt::format("cannot connect to {}: {}", exchange_->url->authority, connect_error_));
  }
  const SocketAddress& address = addresses_[next_address_++];
  int fd = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ConnectFailed(std::strerror(errno));
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  int result = connect(fd, address.get(), address.length);
  if (result != 0 && errno != EINPROGRESS) {
    std::string why = std::strerror(errno);
    close(fd);
    return ConnectFailed(why);
  }
  AwaitConnected(fd);
}

void ClientConnection::Dial() {
  auto fd = core_->options.dial();
  if (!fd.ok()) return Fail(FailureKind::kConnect, fd.message());
  AwaitConnected(*fd);
}

void ClientConnection::AwaitConnected(int fd) {
  error_code ignored;
  socket_.emplace(core_->loop.impl().io, stream_protocol(AF_UNSPEC, 0), fd);
  socket_->native_non_blocking(true, ignored);
  connect_timer_ = core_->loop.After(core_->options.connect_timeout, [this] {
    connect_timer_ = kNoTimer;
    auto self = shared_from_this();
    ConnectFailed("no answer in time");
  });
  writing_ = true;
  socket_->async_wait(Socket::wait_write, [self = shared_from_this(), fd](error_code error) {
    // Of an attempt that was given up: another may be under way.
    if (error || !self->socket_ || self->socket_->native_handle() != fd) return;
    self->writing_ = false;
    self->OnConnected();
  });
}

void ClientConnection::OnConnected() {
  if (phase_ != Phase::kOpening) return;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(socket_->native_handle(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return ConnectFailed(std::strerror(error));
  core_->loop.Cancel(connect_timer_);
  connect_timer_ = kNoTimer;
  HttpVersion version = exchange_->request.version;
  if (!exchange_->url->tls) return Opened(version == HttpVersion::kHttp2);
  const auto& context = core_->Tls();
  if (!context.ok()) return Fail(FailureKind::kTls, context.message());
  tls_ = (*context)->Open(socket_->native_handle(), exchange_->url->host,
                          version != HttpVersion::kHttp11);
  if (!tls_) return Fail(FailureKind::kTls, "TLS cannot be set up");
  phase_ = Phase::kHandshake;
  Handshake();
}

void ClientConnection::ConnectFailed(const std::string& why) {
  if (phase_ != Phase::kOpening) return;
  core_->loop.Cancel(connect_timer_);
  connect_timer_ = kNoTimer;
  socket_.reset();
  writing_ = false;
  connect_error_ = why;
  ConnectNext();
}

void ClientConnection::Handshake() {
  switch (tls_->Handshake().status) {
    case IoStatus::kDone:
      return Opened(tls_->AgreedOnHttp2());
    case IoStatus::kWantRead:
      return WaitRead();
    case IoStatus::kWantWrite:
      return WaitWrite();
    case IoStatus::kEof:
      return Fail(FailureKind::kTls, "connection closed in the TLS handshake");
    case IoStatus::kError:
      return Fail(FailureKind::kTls, tls_->ErrorText());
  }
}

void ClientConnection::Opened(bool http2) {
  auto self = shared_from_this();
  CountOpened();
  if (http2) {
    StartHttp2();
  } else {
    SendRequest();
  }
  if (phase_ != Phase::kClosed) core_->OnOpen(self, http2);
}

void ClientConnection::CountOpened() {
  if (std::exchange(opening_, false)) --pool_->opening;
}

// ---- the exchange

void ClientConnection::Use(std::shared_ptr<Exchange> exchange) {
  exchange_ = std::move(exchange);
  exchange_->connection = this;
  reused_ = true;
  SendRequest();
}

void ClientConnection::SendRequest() {
  phase_ = Phase::kBusy;
  got_bytes_ = false;
  interim_ = 0;
  response_ = ClientResponse();
  parser_.emplace(response_.headers, response_.body, exchange_->request.max_response_bytes);
  parser_->header_limit(kMaxHead);
  if (exchange_->request.method == "HEAD") parser_->skip(true);
  std::string& out = core_->write_buffer;
  out.clear();
  BuildRequest(out);
  auto self = shared_from_this();
  Flush(out);
  if (out.capacity() > 1024 * 1024) std::string().swap(out);
  if (phase_ == Phase::kBusy) WaitRead();
}

void ClientConnection::BuildRequest(std::string& out) const {
  const ClientRequest& request = exchange_->request;
  out += request.method;
  out += ' ';
  out += exchange_->url->target;
  out += " HTTP/1.1\r\nHost: ";
  out += exchange_->url->authority;
  out += "\r\n";
  bool agent = false;
  for (const auto& [name, value] : request.headers) {
    if (IsConnectionField(name)) continue;
    agent = agent || EqualsIgnoreCase(name, "User-Agent");
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  if (!agent && !core_->options.user_agent.empty()) {
    out += "User-Agent: ";
    out += core_->options.user_agent;
    out += "\r\n";
  }
  if (!request.body.empty() || NeedsLength(request.method)) {
    fmt::format_int length(request.body.size());
    out += "Content-Length: ";
    out.append(length.data(), length.size());
    out += "\r\n";
  }
  out += "\r\n";
  out += request.body;
}

bool ClientConnection::OnData(std::string_view data) {
  if (phase_ == Phase::kMultiplexed) return OnHttp2Data(data);
  if (phase_ != Phase::kBusy) {
    Close();  // nobody asked
    return false;
  }
  got_bytes_ = true;
  if (!in_.empty()) {
    in_ += data;
    data = in_;
  }
  while (!data.empty()) {
    BeastError error;
    size_t used = parser_->put(boost::asio::buffer(data.data(), data.size()), error);
    data.remove_prefix(used);
    int status = parser_->status();
    if (parser_->head_done() && (status < 100 || status == 101)) {
      Fail(FailureKind::kProtocol, fmt::format("answer of status {}", status));
      return false;
    }
    if (!HandOn()) return false;
    if (parser_->cut()) {
      response_.truncated = true;
      MessageDone(false);
      return false;
    }
    if (error == beast_http::error::need_more) break;
    if (error) {
      Fail(FailureKind::kProtocol, "malformed answer: " + error.message());
      return false;
    }
    if (!parser_->is_done()) continue;
    if (status < 200) {
      if (++interim_ > kMaxInterim) {
        Fail(FailureKind::kProtocol, "too many interim answers");
        return false;
      }
      response_ = ClientResponse();
      parser_.emplace(response_.headers, response_.body, exchange_->request.max_response_bytes);
      parser_->header_limit(kMaxHead);
      if (exchange_->request.method == "HEAD") parser_->skip(true);
      continue;
    }
    // What follows an answer nobody asked for; what is unsent, the server did not want.
    bool reusable = parser_->keep_alive() && data.empty() && out_.empty();
    in_.clear();
    MessageDone(reusable);
    return phase_ == Phase::kIdle || phase_ == Phase::kBusy;
  }
  if (data.empty()) {
    in_.clear();
  } else if (in_.empty()) {
    in_.assign(data);
  } else {
    in_.erase(0, in_.size() - data.size());
  }
  return true;
}

bool ClientConnection::HandOn() {
  auto exchange = exchange_;
  const auto& taker = exchange->request.on_piece;
  int status = parser_->status();
  if (!taker || !parser_->head_done() || status < 200 || status >= 300) return true;
  auto self = shared_from_this();
  if (auto begun = std::exchange(exchange->request.on_begin, nullptr)) {
    begun();
    if (phase_ != Phase::kBusy) return false;
  }
  if (response_.body.empty()) return true;
  std::string piece = std::exchange(response_.body, {});
  core_->Prolong(*exchange);
  bool more = taker(piece);
  // It may have ended the client.
  if (phase_ != Phase::kBusy) return false;
  if (!more) MessageDone(false);
  return more;
}

void ClientConnection::OnEnd(bool clean, const std::string& why) {
  if (phase_ == Phase::kHandshake) return Fail(FailureKind::kTls, why);
  if (phase_ == Phase::kMultiplexed) return EndHttp2(FailureKind::kReset, why);
  if (phase_ != Phase::kBusy) return Close();
  if (!got_bytes_) return Fail(FailureKind::kReset, why);
  BeastError error;
  bool begun = parser_->got_some();  // after an interim answer there may be nothing more
  if (clean && begun) parser_->put_eof(error);
  if (clean && begun && !error && parser_->is_done()) return MessageDone(false);
  Fail(FailureKind::kReset, "connection closed in the middle of the answer");
}

void ClientConnection::MessageDone(bool reusable) {
  auto self = shared_from_this();
  Client::Outcome outcome;
  response_.status = parser_->status();
  outcome.response = std::move(response_);
  parser_.reset();
  auto exchange = std::move(exchange_);
  exchange->connection = nullptr;
  if (reusable && !core_->closed) {
    phase_ = Phase::kIdle;
    if (in_.capacity() > 4096) std::string().swap(in_);
    idle_since_ = core_->loop.Steady();
    // Before the callback, which may well send the next request.
    core_->OnIdle(self);
  } else {
    Close();
  }
  core_->Finish(exchange, std::move(outcome));
}

void ClientConnection::Fail(FailureKind kind, std::string message) {
  auto self = shared_from_this();
  auto exchange = std::move(exchange_);
  if (exchange) exchange->connection = nullptr;
  bool stale = exchange && phase_ == Phase::kBusy && kind == FailureKind::kReset && reused_ &&
               !got_bytes_ && !exchange->retried && !exchange->finished;
  auto pool = pool_;
  if (stale) {
    exchange->retried = true;
    core_->StartFresh(exchange, *pool);
  }
  Close();
  if (exchange && !stale) core_->Fail(exchange, kind, std::move(message));
}

void ClientConnection::Close() {
  if (phase_ == Phase::kClosed) return;
  auto self = shared_from_this();
  bool was_idle = phase_ == Phase::kIdle;
  phase_ = Phase::kClosed;
  if (exchange_) exchange_->connection = nullptr;
  exchange_.reset();
  for (const auto& [stream, exchange] : streams_) exchange->connection = nullptr;
  streams_.clear();
  // Whether it is HTTP/2 is not known yet: each of those that wait finds out for itself.
  if (opening_) pool_->one_by_one = false;
  CountOpened();
  core_->loop.Cancel(connect_timer_);
  core_->loop.Cancel(ping_timer_);
  connect_timer_ = ping_timer_ = kNoTimer;
  tls_.reset();
  if (socket_) {
    error_code ignored;
    socket_->close(ignored);
  }
  --pool_->open;
  core_->OnClosed(*this, was_idle);
}

// ---- reading and writing

IoResult ClientConnection::Read(char* data, size_t size) {
  if (tls_) return tls_->Read(data, size);
  ssize_t got = recv(socket_->native_handle(), data, size, 0);
  if (got > 0) return {IoStatus::kDone, static_cast<size_t>(got)};
  if (got == 0) return {IoStatus::kEof};
  if (errno == EAGAIN || errno == EINTR) return {IoStatus::kWantRead};
  return {IoStatus::kError};
}

IoResult ClientConnection::Write(const char* data, size_t size) {
  if (tls_) return tls_->Write(data, size);
  ssize_t sent = send(socket_->native_handle(), data, size, MSG_NOSIGNAL);
  if (sent > 0) return {IoStatus::kDone, static_cast<size_t>(sent)};
  if (errno == EAGAIN || errno == EINTR) return {IoStatus::kWantWrite};
  return {IoStatus::kError};
}

void ClientConnection::Flush(std::string_view data) {
  while (!data.empty()) {
    IoResult result = Write(data.data(), data.size());
    if (result.status == IoStatus::kDone) {
      data.remove_prefix(result.size);
      continue;
    }
    if (result.status == IoStatus::kWantRead || result.status == IoStatus::kWantWrite) {
      out_.assign(data);
      out_sent_ = 0;
      return WaitWrite();
    }
    // The server may have answered and then closed: what it said is still to be read.
    out_.clear();
    if (reused_) return Fail(FailureKind::kReset, "connection closed");
    return WaitRead();
  }
}

void ClientConnection::WaitRead() {
  if (reading_ || phase_ == Phase::kClosed) return;
  reading_ = true;
  if (!tls_) {
    return socket_->async_read_some(boost::asio::buffer(head_),
                                    [self = shared_from_this()](error_code error, size_t size) {
                                      if (self->phase_ != Phase::kClosed) self->OnRead(error, size);
                                    });
  }
  socket_->async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
    self->reading_ = false;
    if (!error && self->phase_ != Phase::kClosed) self->OnReadable();
  });
}

void ClientConnection::OnRead(const error_code& error, size_t size) {
  if (error == boost::asio::error::eof) return OnEnd(true, "connection closed");
  if (error) return OnEnd(false, error.message());
  if (!OnData({head_.data(), size})) return;
  reading_ = false;
  // A long answer in larger pieces.
  size == head_.size() ? OnReadable() : WaitRead();
}

void ClientConnection::WaitWrite() {
  if (writing_ || phase_ == Phase::kClosed) return;
  writing_ = true;
  socket_->async_wait(Socket::wait_write, [self = shared_from_this()](error_code error) {
    self->writing_ = false;
    if (!error && self->phase_ != Phase::kClosed) self->OnWritable();
  });
}

void ClientConnection::OnReadable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  auto& buffer = core_->read_buffer;
  // A TLS session may hold more than the descriptor shows; a plain socket is asked once a turn.
  do {
    IoResult result = Read(buffer.data(), buffer.size());
    switch (result.status) {
      case IoStatus::kDone:
        if (!OnData({buffer.data(), result.size})) return;
        break;
      case IoStatus::kWantRead:
        return WaitRead();
      case IoStatus::kWantWrite:
        return WaitWrite();
      case IoStatus::kEof:
        return OnEnd(true, "connection closed");
      case IoStatus::kError:
        return OnEnd(false, tls_ ? tls_->ErrorText() : std::strerror(errno));
    }
  } while (tls_ && phase_ != Phase::kClosed);
  WaitRead();
}

void ClientConnection::OnWritable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  if (phase_ == Phase::kMultiplexed) return PumpHttp2();
  while (out_sent_ < out_.size()) {
    IoResult result = Write(out_.data() + out_sent_, out_.size() - out_sent_);
    if (result.status == IoStatus::kDone) {
      out_sent_ += result.size;
    } else if (result.status == IoStatus::kWantRead || result.status == IoStatus::kWantWrite) {
      return WaitWrite();
    } else {
      break;  // reading tells the rest
    }
  }
  std::string().swap(out_);
  out_sent_ = 0;
}

}  // namespace dispatch::http::internal
