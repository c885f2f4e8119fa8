#include "common/http/internal/connection.h"

#include <sys/socket.h>

#include <cerrno>

#include "common/crypto.h"
#include "common/http/internal/wire.h"
#include "common/json.h"
#include "common/log.h"

namespace dispatch::http::internal {

namespace {

namespace beast_http = boost::beast::http;

// Input that is kept while a request is served; over it the client waits in its own socket.
constexpr size_t kMaxPipelined = 64 * 1024;
// How much more a client that was refused may send before it is cut off.
constexpr size_t kMaxLinger = 1024 * 1024;
/// Hands the answer of one request to its connection; does nothing once it is answered.
class RequestWriter final : public ResponseWriter {
 public:
  explicit RequestWriter(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}
  ~RequestWriter() override {
    if (connection_) connection_->Abandon();
  }

  void Send(Response response) override {
    if (!connection_ || started_) return;
    std::exchange(connection_, nullptr)->SendResponse(response);
  }
  void Start(int status, Headers headers) override {
    if (!connection_ || started_) return;
    started_ = true;
    connection_->StartStream(status, headers);
  }
  bool Write(std::string piece) override {
    return connection_ && started_ && connection_->WritePiece(piece);
  }
  void End() override {
    if (connection_ && started_) std::exchange(connection_, nullptr)->EndStream();
  }
  void OnDrain(std::function<void()> drained) override {
    if (connection_) connection_->OnDrain(std::move(drained));
  }
  void OnClosed(std::function<void()> closed) override {
    if (connection_) connection_->OnClosed(std::move(closed));
  }
  bool closed() const override { return !connection_ || connection_->closed(); }

 private:
  std::shared_ptr<Connection> connection_;
  bool started_ = false;
};

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, int fd, std::string remote_address,
                       std::unique_ptr<TlsSession> tls)
    : core_(std::move(core)),
      socket_(core_->loop.impl().io, fd),
      remote_address_(std::move(remote_address)),
      tls_(std::move(tls)) {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  core_->open.Add(1);
}

Connection::~Connection() { core_->loop.Cancel(timer_); }

void Connection::Start() {
  if (tls_ != nullptr) phase_ = Phase::kHandshake;
  SetDeadline(tls_ != nullptr ? core_->options.header_timeout : core_->options.idle_timeout);
  WaitRead();
}

void Connection::Refuse() {
  // A handshake costs more than the answer is worth.
  if (tls_ != nullptr) return Close();
  Reject(503, "too many connections; try again later");
}

void Connection::BeginDrain() {
  keep_alive_ = false;
  if (phase_ <= Phase::kIdle) Close();
}

void Connection::Close() {
  if (std::exchange(closed_, true)) return;
  EndLargeBody();
  core_->open.Add(-1);
  auto self = shared_from_this();
  core_->loop.Cancel(std::exchange(timer_, kNoTimer));
  if (tls_ != nullptr) tls_->Shutdown();
  boost::system::error_code ignored;
  socket_.close(ignored);
  in_.clear();
  out_.clear();
  on_drain_ = nullptr;
  // Posted, since the handler may be in the middle of Write.
  if (on_closed_) core_->loop.Post(std::exchange(on_closed_, nullptr));
  core_->connections.erase(this);
  if (core_->connections.empty() && core_->on_empty) {
    core_->loop.Post(std::exchange(core_->on_empty, nullptr));
  }
}

// ---- reading

void Connection::WaitRead() {
  if (closed_ || reading_ || eof_) return;
  reading_ = true;
  socket_.async_wait(dispatch::internal::IoDescriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       self->reading_ = false;
                       if (!error && !self->closed_) self->OnReadable();
                     });
}

IoResult Connection::Receive(char* data, size_t size) {
  // What comes after the end is thrown away: it need not be understood.
  if (tls_ != nullptr && phase_ != Phase::kLingering) return tls_->Read(data, size);
  ssize_t read = recv(socket_.native_handle(), data, size, 0);
  if (read > 0) return {IoStatus::kDone, static_cast<size_t>(read)};
  if (read == 0) return {IoStatus::kEof};
  return {errno == EAGAIN || errno == EINTR ? IoStatus::kWantRead : IoStatus::kError};
}

void Connection::Handshake() {
  // The first byte of a TLS record says 22; of an HTTP request it is a letter.
  char first = 0;
  if (!greeted_) {
    if (recv(socket_.native_handle(), &first, 1, MSG_PEEK) != 1) first = '\0';
    if (IsToken({&first, 1})) {
      tls_ = nullptr;
      return Reject(400, "this port speaks HTTPS: begin the URL with https://");
    }
    greeted_ = true;
  }
  switch (tls_->Handshake().status) {
    case IoStatus::kDone:
      phase_ = Phase::kIdle;
      SetDeadline(core_->options.idle_timeout);
      return WaitRead();
    case IoStatus::kWantRead:
      return WaitRead();
    case IoStatus::kWantWrite:
      return WaitWrite();
    default:
      return Close();
  }
}

void Connection::OnReadable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  auto& buffer = core_->read_buffer;
  IoResult result = Receive(buffer.data(), buffer.size());
  // TLS writes by itself only what fits the socket: waiting for input is all there is to do.
  if (result.status == IoStatus::kWantRead || result.status == IoStatus::kWantWrite) {
    return WaitRead();
  }
  if (result.status == IoStatus::kEof) return OnEof();
  if (result.status == IoStatus::kError) return Close();
  std::string_view data(buffer.data(), result.size);
  if (phase_ == Phase::kLingering) {
    lingered_ += data.size();
    return lingered_ > kMaxLinger ? Close() : WaitRead();
  }
  if (!in_.empty() || phase_ > Phase::kBody) {
    in_ += data;
    ProcessInput();
  } else {
    in_.assign(data.substr(Consume(data)));
  }
  if (in_.size() < kMaxPipelined) WaitRead();
}

void Connection::OnEof() {
  eof_ = true;
  keep_alive_ = false;
  // A client that shut down its side after a whole request may still want the answer; one that left
  // in the middle of a request, or of an event stream, is gone.
  if (phase_ != Phase::kHandling && phase_ != Phase::kFlushing) return Close();
  if (on_closed_) core_->loop.Post(std::exchange(on_closed_, nullptr));
}

void Connection::ProcessInput() {
  if (in_.empty() || phase_ > Phase::kBody) return;
  size_t used = Consume(in_);
  if (used == in_.size()) {
    ReleaseBuffer(in_);
  } else {
    in_.erase(0, used);
  }
}

size_t Connection::Consume(std::string_view data) {
  consuming_ = true;
  size_t used = 0;
  while (used < data.size() && !closed_ && phase_ <= Phase::kBody) {
    std::string_view rest = data.substr(used);
    size_t step = phase_ == Phase::kBody ? ConsumeBody(rest) : ConsumeHead(rest);
    if (step == 0) break;
    used += step;
  }
  consuming_ = false;
  // What is left is dropped with the connection; else it is the next request, or a part of one.
  return closed_ || phase_ == Phase::kLingering ? data.size() : used;
}

size_t Connection::ConsumeHead(std::string_view data) {
  // RFC 9112, section 2.2: an empty line before the request line is ignored.
  if (data.starts_with("\r\n")) return 2;
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kHead;
    request_ = Request();
    request_.received = core_->loop.Steady();
    keep_alive_ = http11_ = true;
    head_only_ = false;
  }
  if (!IsToken(data.substr(0, 1)) && data[0] != '\r') {
    Reject(400, "this is no HTTP request");
    return 0;
  }
  const size_t limit = core_->options.max_header_bytes;
  HeadScan head = ScanHead(data.substr(0, limit));
  if (head.state == HeadScan::State::kMore) {
    if (data.size() >= limit) {
      Reject(431, "the request's header is too large");
    } else {
      // From the first byte on, not from the latest.
      SetDeadline(request_.received + core_->options.header_timeout);
    }
    return 0;
  }
  if (head.state == HeadScan::State::kMalformed) {
    Reject(400, "the request's header has a folded line or a line not ended by CRLF");
    return 0;
  }
  parser_.emplace(request_);
  // One more, so that Beast's limit is never the first to strike.
  parser_->header_limit(static_cast<uint32_t>(limit + 1));
  parser_->body_limit(std::max(core_->options.max_body_bytes, core_->options.max_large_body_bytes));
  BeastError error;
  parser_->put(boost::asio::buffer(data.data(), head.length), error);
  if (error == beast_http::error::need_more) error = {};
  if (error == beast_http::error::body_limit) {
    Reject(413, "the request's body is too large");
  } else if (error == beast_http::error::bad_version) {
    Reject(505, "HTTP/1.1 or HTTP/1.0 is expected");
  } else if (error || !parser_->head_done()) {
    Reject(400, error ? error.message() : "the request's header is malformed");
  } else if (CheckHead()) {
    if (parser_->is_done()) {
      more_read_ = head.length < data.size();
      Dispatch();
    } else {
      phase_ = Phase::kBody;
      SetDeadline(core_->options.body_timeout);
      if (data.size() == head.length && http11_ && request_.headers.Has("Expect")) {
        Write("HTTP/1.1 100 Continue\r\n\r\n");
      }
    }
  }
  return head.length;
}

bool Connection::CheckHead() {
  http11_ = parser_->version() >= 11;
  keep_alive_ = parser_->keep_alive() && !eof_ && !core_->draining;
  head_only_ = request_.method == "HEAD";
  auto length = request_.headers.Get("Content-Length");
  if (parser_->content_length_count() > 1 || (length && length->find(',') != length->npos) ||
      (parser_->content_length_count() > 0 && parser_->transfer_encoding_count() > 0)) {
    Reject(400, "the body's length is given twice");
    return false;
  }
  if (parser_->transfer_encoding_count() > 0 &&
      (!http11_ || !EqualsIgnoreCase(*request_.headers.Get("Transfer-Encoding"), "chunked"))) {
    Reject(http11_ ? 501 : 400, "the only transfer coding is chunked, in HTTP/1.1");
    return false;
  }
  // RFC 9112, section 3.2.
  if (parser_->host_count() > 1 || (http11_ && parser_->host_count() == 0)) {
    Reject(400, "one Host header is expected");
    return false;
  }
  if (!ParseTarget(request_)) {
    Reject(400, "the request's target is malformed");
    return false;
  }
  if (auto expect = request_.headers.Get("Expect");
      expect && http11_ && !EqualsIgnoreCase(*expect, "100-continue")) {
    Reject(417, "the only expectation is 100-continue");
    return false;
  }
  const auto& options = core_->options;
  bool large = options.may_be_large && options.may_be_large(request_);
  body_limit_ = large ? options.max_large_body_bytes : options.max_body_bytes;
  return AdmitBody(parser_->content_length().value_or(0));
}

bool Connection::AdmitBody(uint64_t size) {
  if (size > body_limit_) {
    Reject(413, "the request's body is too large");
    return false;
  }
  if (size <= core_->options.max_body_bytes || large_body_) return true;
  if (core_->large_bodies >= core_->options.max_large_bodies) {
    Reject(503, "too many large requests at once; try again later");
    return false;
  }
  large_body_ = true;
  ++core_->large_bodies;
  return true;
}

void Connection::EndLargeBody() {
  if (std::exchange(large_body_, false)) --core_->large_bodies;
}

size_t Connection::ConsumeBody(std::string_view data) {
  BeastError error;
  size_t used = parser_->put(boost::asio::buffer(data.data(), data.size()), error);
  bool whole = error != beast_http::error::need_more;
  if ((!whole || !error) && !AdmitBody(request_.body.size())) return used;
  if (!whole) {
    // What the parser leaves is a piece of a chunk's header or of the trailers.
    if (data.size() - used > core_->options.max_header_bytes) {
      Reject(400, "a chunk's header or the trailers are too large");
    }
    return used;
  }
  if (error == beast_http::error::body_limit) {
    Reject(413, "the request's body is too large");
  } else if (error) {
    Reject(400, error.message());
  } else if (parser_->is_done()) {
    more_read_ = used < data.size();
    Dispatch();
  }
  return used;
}

void Connection::Dispatch() {
  phase_ = Phase::kHandling;
  ClearDeadline();
  parser_.reset();
  request_.remote_address = remote_address_;
  request_.secure = tls_ != nullptr;
  auto writer = std::make_shared<RequestWriter>(shared_from_this());
  if (core_->closed) return;
  try {
    core_->handler(std::move(request_), std::move(writer));
  } catch (const std::exception& error) {
    // The writer is gone by now, and has answered 500.
    log::Error("a request handler threw error=\"{}\"", error.what());
  }
}

void Connection::Reject(int status, std::string_view message) {
  // The handler never sees these, so that its own metrics do not either.
  metrics::GetCounter("dispatch_http_server_refused_total",
                      "Requests refused before a handler saw them.",
                      {{"status", std::to_string(status)}})
      .Add();
  keep_alive_ = false;
  request_.body.clear();
  // The rest of the request may be on its way.
  rejected_ = true;
  phase_ = Phase::kHandling;
  SendResponse(Response::Json(
      status, json::Serialize(json::object{{"code", status},
                                           {"message", message},
                                           {"details", json::array()},
                                           {"requestId", crypto::RandomAlphanumeric(24)}})));
}

// ---- time

void Connection::SetDeadline(std::chrono::milliseconds after) {
  SetDeadline(core_->loop.Steady() + after);
}

void Connection::SetDeadline(SteadyTime deadline) {
  deadline_ = deadline;
  if (closed_ || (timer_ != kNoTimer && timer_due_ <= deadline_)) return;
  core_->loop.Cancel(timer_);
  timer_due_ = deadline_;
  timer_ = core_->loop.After(deadline_ - core_->loop.Steady(), [this] { OnTimer(); });
}

void Connection::OnTimer() {
  timer_ = kNoTimer;
  if (deadline_ == SteadyTime::max()) return;
  if (deadline_ > core_->loop.Steady()) {
    SetDeadline(deadline_);
  } else {
    OnDeadline();
  }
}

void Connection::OnDeadline() {
  auto self = shared_from_this();
  ClearDeadline();
  if (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    Reject(408, "the request did not arrive in time");
  } else {
    Close();
  }
}

}  // namespace dispatch::http::internal
