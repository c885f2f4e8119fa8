// The half of ClientConnection that speaks HTTP/2.

#include <utility>
#include <vector>

#include "common/http/internal/client_connection.h"
#include "common/http/internal/wire.h"

namespace dispatch::http::internal {

namespace {
constexpr size_t kWriteSize = 64 * 1024;
}

void ClientConnection::StartHttp2() {
  phase_ = Phase::kMultiplexed;
  http2_ = std::make_unique<Http2Session>();
  heard_ = idle_since_ = core_->loop.Steady();
  ArmPing();
  Multiplex(std::move(exchange_));
}

void ClientConnection::Multiplex(std::shared_ptr<Exchange> exchange) {
  auto stream = http2_->Send(exchange->request, *exchange->url, core_->options.user_agent);
  if (!stream.ok()) {
    exchange->connection = nullptr;
    return core_->Fail(exchange, FailureKind::kProtocol, stream.message());
  }
  exchange->connection = this;
  exchange->stream = *stream;
  streams_.emplace(*stream, std::move(exchange));
  PumpHttp2();
}

void ClientConnection::Abandon(const Exchange& exchange) {
  if (phase_ != Phase::kMultiplexed) return Close();
  auto self = shared_from_this();
  int32_t stream = exchange.stream;
  http2_->Cancel(stream);
  Release(stream);
  PumpHttp2();
  if (phase_ == Phase::kMultiplexed) core_->OnRoom(self);
}

void ClientConnection::Release(int32_t stream) {
  auto it = streams_.find(stream);
  it->second->connection = nullptr;
  streams_.erase(it);
  reused_ = true;
  if (!streams_.empty()) return;
  idle_since_ = core_->loop.Steady();
  core_->ArmIdleTimer(*pool_);
}

bool ClientConnection::OnHttp2Data(std::string_view data) {
  heard_ = core_->loop.Steady();
  Status received = http2_->Receive(data);
  if (http2_->going_away()) core_->OnFull(*this);
  return GoOn(received);
}

bool ClientConnection::GoOn(const Status& received) {
  auto self = shared_from_this();
  if (!HandleEvents()) return false;
  PumpHttp2();  // what we have to say to it, and be it why we end
  if (phase_ != Phase::kMultiplexed) return false;
  if (!received.ok()) {
    EndHttp2(FailureKind::kProtocol, received.message());
  } else if (streams_.empty() && (http2_->going_away() || http2_->over())) {
    Close();
  } else if (http2_->over()) {
    EndHttp2(FailureKind::kProtocol, "the server broke the rules of HTTP/2");
  } else {
    core_->OnRoom(self);
  }
  return phase_ == Phase::kMultiplexed;
}

bool ClientConnection::HandleEvents() {
  for (auto& event : http2_->TakeEvents()) {
    auto it = streams_.find(event.stream);
    if (it == streams_.end()) continue;
    auto exchange = it->second;
    Client::Outcome outcome;
    outcome.response = std::move(event.response);
    switch (event.kind) {
      case Http2Session::Event::Kind::kPiece: {
        core_->Prolong(*exchange);
        std::string piece = std::exchange(outcome.response.body, {});
        bool more = exchange->request.on_piece(piece);
        if (phase_ != Phase::kMultiplexed) return false;  // it ended the client
        if (more) break;
        http2_->Cancel(event.stream);
        Release(event.stream);
        core_->Finish(exchange, std::move(outcome));
        break;
      }
      case Http2Session::Event::Kind::kAnswer:
        Release(event.stream);
        core_->Finish(exchange, std::move(outcome));
        break;
      case Http2Session::Event::Kind::kFailed:
        Release(event.stream);
        if (event.untouched && !exchange->retried) {
          exchange->retried = true;
          core_->Start(exchange, *pool_);
        } else {
          core_->Fail(exchange, event.failure, std::move(event.message));
        }
        break;
    }
    if (phase_ != Phase::kMultiplexed) return false;
  }
  return true;
}

void ClientConnection::PumpHttp2() {
  while (phase_ == Phase::kMultiplexed) {
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
      auto produced = http2_->Produce(out_, kWriteSize);
      if (!produced.ok()) return EndHttp2(FailureKind::kProtocol, produced.message());
      if (out_.empty()) break;
    }
    IoResult result = Write(out_.data() + out_sent_, out_.size() - out_sent_);
    if (result.status == IoStatus::kDone) {
      out_sent_ += result.size;
    } else if (result.status == IoStatus::kWantRead || result.status == IoStatus::kWantWrite) {
      WaitWrite();
      // A server that waits until we read what it says does not read what we say.
      return WaitRead();
    } else {
      out_.clear();  // reading tells what happened
      out_sent_ = 0;
      break;
    }
  }
  ReleaseBuffer(out_);
  if (phase_ != Phase::kMultiplexed) return;
  WaitRead();
  // What we reset ourselves ends when that is said.
  if (!http2_->has_events()) return;
  core_->loop.Post([self = shared_from_this()] {
    if (self->phase_ == Phase::kMultiplexed) self->GoOn(OkStatus());
  });
}

// A connection that nothing comes from is asked whether it lives; one that does not say so is dead,
// as when the other side's machine went away.
void ClientConnection::ArmPing() {
  Duration interval = core_->options.ping_interval;
  ping_timer_ = core_->loop.After(interval, [this, interval] {
    ping_timer_ = kNoTimer;
    auto self = shared_from_this();
    bool quiet = core_->loop.Steady() - heard_ >= interval;
    if (quiet && http2_->awaits_pong()) {
      return EndHttp2(FailureKind::kReset, "the server does not answer to PING");
    }
    ArmPing();
    if (!quiet) return;
    http2_->Ping();
    PumpHttp2();
  });
}

void ClientConnection::EndHttp2(FailureKind kind, const std::string& message) {
  auto self = shared_from_this();
  auto streams = std::exchange(streams_, {});
  core_->OnFull(*this);
  std::vector<std::shared_ptr<Exchange>> failed;
  for (auto& [stream, exchange] : streams) {
    exchange->connection = nullptr;
    // As in HTTP/1.1: what was sent on a kept connection that turns out dead goes once more.
    bool stale = kind == FailureKind::kReset && reused_ && !http2_->Begun(stream);
    if (stale && !exchange->retried && !exchange->finished) {
      exchange->retried = true;
      core_->Start(exchange, *pool_);
    } else {
      failed.push_back(std::move(exchange));
    }
  }
  Close();
  for (const auto& exchange : failed) core_->Fail(exchange, kind, message);
}

}  // namespace dispatch::http::internal
