// The half of Connection that writes.
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <iterator>

#include "common/http/internal/connection.h"
#include "common/http/internal/wire.h"
#include "common/internal/time_text.h"
#include "common/log.h"

namespace dispatch::http::internal {

namespace {

// How long a client that was refused may take to notice.
constexpr std::chrono::milliseconds kLingerTime{2'000};
// A stream's handler that goes on writing although told to stop.
constexpr size_t kOverrunFactor = 16;

bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

// The fields that framing decides on are the connection's.
bool IsOurs(std::string_view name) {
  switch (name.size()) {
    case 4:
      return EqualsIgnoreCase(name, "Date");
    case 10:
      return EqualsIgnoreCase(name, "Connection") || EqualsIgnoreCase(name, "Keep-Alive");
    case 14:
      return EqualsIgnoreCase(name, "Content-Length");
    case 17:
      return EqualsIgnoreCase(name, "Transfer-Encoding");
    default:
      return false;
  }
}

}  // namespace

const std::string& ServerCore::DateLine() {
  WallTime now = loop.Now();
  int64_t second = ToMillis(now) / 1000;
  if (second != date_second_) {
    date_second_ = second;
    date_line_ = "Date: " + dispatch::internal::FormatHttpDate(now) + "\r\n";
  }
  return date_line_;
}

void Connection::AppendHead(std::string& out, int status, const Headers& headers) {
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, ReasonPhrase(status));
  out += core_->DateLine();
  for (const auto& [name, value] : headers) {
    if (IsOurs(name)) {
      if (EqualsIgnoreCase(name, "Connection") && ListContains(value, "close")) keep_alive_ = false;
      continue;
    }
    // A value that came from a caller must not begin a header of its own.
    if (!IsToken(name) || !IsFieldValue(value)) {
      log::Warning("response header dropped name=\"{}\"", name);
      continue;
    }
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
  }
  if (core_->draining) keep_alive_ = false;
  if (!keep_alive_) {
    out += "Connection: close\r\n";
  } else if (!http11_) {
    out += "Connection: keep-alive\r\n";
  }
}

void Connection::SendResponse(const Response& response) {
  if (closed_ || phase_ != Phase::kHandling) return;
  std::string& out = core_->write_buffer;
  out.clear();
  AppendHead(out, response.status, response.headers);
  bool no_body = HasNoBody(response.status);
  if (!no_body) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n\r\n", response.body.size());
    if (!head_only_) out += response.body;
  } else {
    out += "\r\n";
  }
  phase_ = Phase::kFlushing;
  Write(out);
  if (out.capacity() > 1024 * 1024) std::string().swap(out);
}

void Connection::StartStream(int status, const Headers& headers) {
  if (closed_ || phase_ != Phase::kHandling) return;
  head_only_ = head_only_ || HasNoBody(status);
  chunked_ = http11_ && !head_only_;
  if (!http11_ && !head_only_) keep_alive_ = false;
  std::string& out = core_->write_buffer;
  out.clear();
  AppendHead(out, status, headers);
  if (chunked_) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
  phase_ = Phase::kStreaming;
  Write(out);
  if (eof_) return Close();
  WaitRead();
}

bool Connection::WritePiece(std::string_view piece) {
  if (closed_ || phase_ != Phase::kStreaming) return false;
  if (piece.empty() || head_only_) return !over_water_;
  std::string& out = core_->write_buffer;
  out.clear();
  if (chunked_) {
    AppendChunk(out, piece);
    Write(out);
  } else {
    Write(piece);
  }
  size_t waiting = out_.size() - out_sent_;
  if (waiting > core_->options.stream_high_water * kOverrunFactor) {
    log::Warning("stream closed: its handler writes on while the client does not read waiting={}",
                 waiting);
    Close();
    return false;
  }
  over_water_ = over_water_ || waiting > core_->options.stream_high_water;
  return !closed_ && !over_water_;
}

void Connection::EndStream() {
  if (closed_ || phase_ != Phase::kStreaming) return;
  phase_ = Phase::kFlushing;
  if (chunked_) {
    Write("0\r\n\r\n");
  } else {
    AfterWrite();
  }
}

void Connection::Abandon() {
  if (closed_) return;
  if (phase_ == Phase::kHandling) {
    SendResponse(Response::Json(500, R"({"code":500,"message":"the request was dropped"})"));
  } else if (phase_ == Phase::kStreaming) {
    // Without the last chunk, so that the client knows.
    Close();
  }
}

void Connection::OnClosed(std::function<void()> closed) {
  if (closed_) {
    core_->loop.Post(std::move(closed));
  } else {
    on_closed_ = std::move(closed);
  }
}

IoResult Connection::Transmit(std::string_view data) {
  if (tls_ != nullptr) return tls_->Write(data.data(), data.size());
  while (true) {
    ssize_t size = send(socket_.native_handle(), data.data(), data.size(), MSG_NOSIGNAL);
    if (size > 0) return {IoStatus::kDone, static_cast<size_t>(size)};
    if (errno == EAGAIN) return {IoStatus::kWantWrite};
    if (errno != EINTR) return {IoStatus::kError};
  }
}

void Connection::Write(std::string_view data) {
  if (closed_) return;
  if (out_.size() > out_sent_) {
    out_ += data;
    return;
  }
  while (!data.empty()) {
    IoResult result = Transmit(data);
    if (result.status == IoStatus::kDone) {
      data.remove_prefix(result.size);
    } else if (result.status == IoStatus::kWantWrite) {
      out_.assign(data);
      out_sent_ = 0;
      SetDeadline(core_->options.write_timeout);
      return WaitWrite();
    } else {
      return Close();
    }
  }
  AfterWrite();
}

void Connection::WaitWrite() {
  if (closed_ || writing_) return;
  writing_ = true;
  socket_.async_wait(dispatch::internal::IoDescriptor::wait_write,
                     [self = shared_from_this()](boost::system::error_code error) {
                       self->writing_ = false;
                       if (!error && !self->closed_) self->OnWritable();
                     });
}

void Connection::OnWritable() {
  if (phase_ == Phase::kHandshake) return Handshake();
  while (out_sent_ < out_.size()) {
    IoResult result = Transmit(std::string_view(out_).substr(out_sent_));
    if (result.status == IoStatus::kDone) {
      out_sent_ += result.size;
    } else if (result.status == IoStatus::kWantWrite) {
      // Moving what is left to the front is worth it only when much was sent.
      if (out_sent_ > out_.size() / 2) {
        out_.erase(0, out_sent_);
        out_sent_ = 0;
      }
      SetDeadline(core_->options.write_timeout);
      WaitWrite();
      break;
    } else {
      return Close();
    }
  }
  size_t waiting = out_.size() - out_sent_;
  if (waiting == 0) {
    ReleaseBuffer(out_);
    out_sent_ = 0;
    AfterWrite();
  }
  if (over_water_ && waiting <= core_->options.stream_high_water / 2 && !closed_) {
    over_water_ = false;
    auto drained = on_drain_;
    if (drained) drained();
  }
}

void Connection::AfterWrite() {
  if (phase_ == Phase::kStreaming) ClearDeadline();
  if (phase_ == Phase::kFlushing && out_.empty()) ResponseDone();
}

void Connection::ResponseDone() {
  EndLargeBody();
  on_drain_ = nullptr;
  on_closed_ = nullptr;
  over_water_ = false;
  if (!keep_alive_) return Linger();
  phase_ = Phase::kIdle;
  SetDeadline(core_->options.idle_timeout);
  if (consuming_) return;  // Consume goes on by itself
  if (!in_.empty()) {
    // Not from within the handler's call of Send.
    core_->loop.Post([self = shared_from_this()] {
      self->ProcessInput();
      self->WaitRead();
    });
  } else {
    WaitRead();
  }
}

void Connection::Linger() {
  bool all_read = !rejected_ && (consuming_ ? !more_read_ : in_.empty());
  if (eof_ || all_read) return Close();
  phase_ = Phase::kLingering;
  if (tls_ != nullptr) tls_->Shutdown();
  shutdown(socket_.native_handle(), SHUT_WR);
  in_.clear();
  SetDeadline(kLingerTime);
  WaitRead();
}

}  // namespace dispatch::http::internal
