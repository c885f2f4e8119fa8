#pragma once

#include <array>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/http/internal/client_core.h"
#include "common/http/internal/http2_session.h"
#include "common/http/internal/message_parser.h"
#include "common/internal/event_loop_impl.h"

namespace dispatch::http::internal {

/// One connection of a Client: opened for one exchange, then kept for others, one after the other
/// in HTTP/1.1 and many at once in HTTP/2. It reads into a small buffer of its own, which most
/// answers fit in: that is one system call an answer less than to wait for readiness, as TLS must.
/// Lives on the loop.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  ClientConnection(std::shared_ptr<ClientCore> core, std::shared_ptr<HostPool> pool);
  ~ClientConnection();

  /// Resolves, connects, shakes hands, then sends.
  void Open(std::shared_ptr<Exchange> exchange);
  /// Sends on a kept connection.
  void Use(std::shared_ptr<Exchange> exchange);
  /// HTTP/2: takes one more, while there is room.
  void Multiplex(std::shared_ptr<Exchange> exchange);
  size_t room() const { return phase_ == Phase::kMultiplexed ? http2_->room() : 0; }
  bool idle() const {
    return phase_ == Phase::kIdle || (phase_ == Phase::kMultiplexed && streams_.empty());
  }
  /// Gives an exchange of this connection up: the others of HTTP/2 go on.
  void Abandon(const Exchange& exchange);
  /// Lets the exchanges go and ends.
  void Close();

  HostPool& pool() { return *pool_; }
  SteadyTime idle_since() const { return idle_since_; }

 private:
  enum class Phase { kOpening, kHandshake, kBusy, kIdle, kMultiplexed, kClosed };

  void OnAddresses(const Result<Addresses>& answer);
  void ConnectNext();
  void Dial();
  void AwaitConnected(int fd);
  void OnConnected();
  void ConnectFailed(const std::string& why);
  void Handshake();
  void Opened(bool http2);
  /// It counts no more as being opened.
  void CountOpened();
  void SendRequest();
  void BuildRequest(std::string& out) const;

  IoResult Read(char* data, size_t size);
  IoResult Write(const char* data, size_t size);
  void Flush(std::string_view data);
  void WaitRead();
  void WaitWrite();
  void OnRead(const boost::system::error_code& error, size_t size);
  void OnReadable();
  void OnWritable();
  /// Takes what came; false when the connection ended by it.
  bool OnData(std::string_view data);
  /// Gives what came of a body to who takes it in pieces; false when the exchange ended by it.
  bool HandOn();
  void OnEnd(bool clean, const std::string& why);
  void MessageDone(bool reusable);
  /// Ends with an outcome for the exchange, or tries again when the connection was stale.
  void Fail(FailureKind kind, std::string message);

  // client_connection_http2.cc
  void StartHttp2();
  bool OnHttp2Data(std::string_view data);
  /// Tells what happened and says what is to be said. False when the connection ended by it.
  bool GoOn(const Status& received);
  bool HandleEvents();
  void Release(int32_t stream);
  void PumpHttp2();
  void ArmPing();
  /// Ends with an outcome for every exchange.
  void EndHttp2(FailureKind kind, const std::string& message);

  std::shared_ptr<ClientCore> core_;
  std::shared_ptr<HostPool> pool_;
  using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                                  dispatch::internal::IoExecutor>;
  std::optional<Socket> socket_;
  std::unique_ptr<TlsSession> tls_;
  std::shared_ptr<Exchange> exchange_;
  Phase phase_ = Phase::kOpening;
  bool opening_ = true;
  bool reused_ = false;
  bool got_bytes_ = false;  // of the answer under way
  bool reading_ = false;    // it is asked for what comes, or what came is being taken
  bool writing_ = false;
  int interim_ = 0;  // answers 1xx

  Addresses addresses_;
  size_t next_address_ = 0;
  std::string connect_error_;
  TimerId connect_timer_ = kNoTimer;

  std::unique_ptr<Http2Session> http2_;
  std::unordered_map<int32_t, std::shared_ptr<Exchange>> streams_;
  SteadyTime heard_{};
  TimerId ping_timer_ = kNoTimer;

  std::array<char, 1024> head_;  // what comes first; without TLS
  std::optional<ResponseParser> parser_;
  ClientResponse response_;
  std::string in_;
  std::string out_;
  size_t out_sent_ = 0;
  SteadyTime idle_since_{};
};

}  // namespace dispatch::http::internal
