#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/internal/message_parser.h"
#include "common/http/internal/server_core.h"
#include "common/http/internal/tls.h"
#include "common/http/server.h"
#include "common/internal/event_loop_impl.h"

namespace dispatch::http::internal {

/// One connection of a Server: reads a request, gives it to the handler, writes the answer, and so
/// on. It waits for readiness and then reads and writes without blocking, so that it needs buffers
/// only while something is incomplete. Lives on the server's loop; the core's map and the pending
/// waits own it. Every public function is safe after the end.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// `tls` null: without TLS.
  Connection(std::shared_ptr<ServerCore> core, int fd, std::string remote_address,
             std::unique_ptr<TlsSession> tls);
  ~Connection();

  void Start();
  /// Answers with 503 and ends: over the limit of connections.
  void Refuse();
  /// Ends when idle, else after the answer under way.
  void BeginDrain();
  void Close();
  bool closed() const { return closed_; }

  // For the ResponseWriter of the request under way.
  void SendResponse(const Response& response);
  void StartStream(int status, const Headers& headers);
  bool WritePiece(std::string_view piece);
  void EndStream();
  void Abandon();
  void OnDrain(std::function<void()> drained) { on_drain_ = std::move(drained); }
  void OnClosed(std::function<void()> closed);

 private:
  enum class Phase {
    kHandshake,  // of TLS
    kIdle,       // between requests, nothing read
    kHead,       // a part of a head has come
    kBody,       // the head is parsed
    kHandling,   // the handler has the request
    kStreaming,  // the handler writes pieces
    kFlushing,   // the answer is made, a part of it unsent
    kLingering,  // answered and shut down: reads what still comes, so that no reset eats the answer
  };

  /// Reads what there is into `data`: from the socket, or through TLS.
  IoResult Receive(char* data, size_t size);
  IoResult Transmit(std::string_view data);
  void Handshake();
  void WaitRead();
  void OnReadable();
  void OnEof();
  /// Parses and serves as much as there is; returns how much it took.
  size_t Consume(std::string_view data);
  size_t ConsumeHead(std::string_view data);
  size_t ConsumeBody(std::string_view data);
  void ProcessInput();
  bool CheckHead();
  void Dispatch();
  /// Whether a body of so many bytes may be read; else it is answered.
  bool AdmitBody(uint64_t size);
  void EndLargeBody();
  /// Answers a request that cannot be served, then ends.
  void Reject(int status, std::string_view message);

  void AppendHead(std::string& out, int status, const Headers& headers);
  /// Sends `data` at once as far as the socket takes it and keeps the rest.
  void Write(std::string_view data);
  void WaitWrite();
  void OnWritable();
  void AfterWrite();
  void ResponseDone();
  void Linger();

  void SetDeadline(std::chrono::milliseconds after);
  void SetDeadline(SteadyTime deadline);
  void ClearDeadline() { deadline_ = SteadyTime::max(); }
  void OnTimer();
  void OnDeadline();

  std::shared_ptr<ServerCore> core_;
  dispatch::internal::IoDescriptor socket_;
  std::string remote_address_;
  std::unique_ptr<TlsSession> tls_;  // null: without TLS

  Phase phase_ = Phase::kIdle;
  bool closed_ = false;
  bool reading_ = false;     // a wait for input is under way
  bool writing_ = false;     // a wait for room is under way
  bool consuming_ = false;   // Consume is on the stack
  bool eof_ = false;         // the client sends no more
  bool keep_alive_ = true;   // after the answer under way
  bool http11_ = true;       // of the request under way
  bool head_only_ = false;   // HEAD, or a status without a body
  bool chunked_ = false;     // of the stream under way
  bool over_water_ = false;  // Write said false
  bool large_body_ = false;  // it counts among the server's large ones
  bool rejected_ = false;    // answered before the request was read
  bool greeted_ = false;     // the client began a handshake
  bool more_read_ = false;   // Consume has bytes after the request under way
  size_t lingered_ = 0;
  size_t body_limit_ = 0;  // of the request under way

  std::optional<RequestParser> parser_;
  Request request_;
  std::string in_;   // read and not yet taken
  std::string out_;  // made and not yet sent, from out_sent_ on
  size_t out_sent_ = 0;
  std::function<void()> on_drain_;
  std::function<void()> on_closed_;

  // The timer stays set while the deadline moves on, and looks again when it fires.
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime timer_due_ = SteadyTime::max();
  TimerId timer_ = kNoTimer;
};

}  // namespace dispatch::http::internal
