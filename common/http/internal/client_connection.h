#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/internal/client_core.h"
#include "common/http/internal/message_parser.h"
#include "common/internal/event_loop_impl.h"

namespace dispatch::http::internal {

/// One connection of a Client: opened for one exchange, then kept for others. Like the server's it
/// waits for readiness and holds no buffers while idle. Lives on the loop.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  ClientConnection(std::shared_ptr<ClientCore> core, std::shared_ptr<HostPool> pool);
  ~ClientConnection();

  /// Resolves, connects, shakes hands, then sends.
  void Open(std::shared_ptr<Exchange> exchange);
  /// Sends on a kept connection.
  void Use(std::shared_ptr<Exchange> exchange);
  /// Lets the exchange go and ends.
  void Close();

  HostPool& pool() { return *pool_; }
  SteadyTime idle_since() const { return idle_since_; }

 private:
  enum class Phase { kOpening, kHandshake, kBusy, kIdle, kClosed };

  void OnAddresses(const Result<Addresses>& answer);
  void ConnectNext();
  void OnConnected();
  void ConnectFailed(const std::string& why);
  void Handshake();
  void SendRequest();
  void BuildRequest(std::string& out) const;

  IoResult Read(char* data, size_t size);
  IoResult Write(const char* data, size_t size);
  void Flush(std::string_view data);
  void WaitRead();
  void WaitWrite();
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

  std::shared_ptr<ClientCore> core_;
  std::shared_ptr<HostPool> pool_;
  std::optional<dispatch::internal::IoDescriptor> socket_;
  std::unique_ptr<TlsSession> tls_;
  std::shared_ptr<Exchange> exchange_;
  Phase phase_ = Phase::kOpening;
  bool reused_ = false;
  bool got_bytes_ = false;  // of the answer under way
  bool reading_ = false;
  bool writing_ = false;
  int interim_ = 0;  // answers 1xx

  Addresses addresses_;
  size_t next_address_ = 0;
  std::string connect_error_;
  TimerId connect_timer_ = kNoTimer;

  std::optional<ResponseParser> parser_;
  ClientResponse response_;
  std::string in_;
  std::string out_;
  size_t out_sent_ = 0;
  SteadyTime idle_since_{};
};

}  // namespace dispatch::http::internal
