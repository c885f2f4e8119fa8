#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/http/message.h"
#include "common/result.h"

namespace dispatch::http {

/// Answers one request, once, on the server's loop. Dropping it unanswered sends 500. Safe to use
/// after the client went away (then it does nothing).
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;

  /// Sends a whole response.
  virtual void Send(Response response) = 0;

  /// Streaming: head first (chunked unless HTTP/1.0), then pieces, then End. For server-sent events
  /// the pieces are whole events.
  virtual void Start(int status, Headers headers) = 0;
  /// False when more than `ServerOptions::stream_high_water` bytes wait: stop until the drain call.
  virtual bool Write(std::string piece) = 0;
  virtual void End() = 0;
  virtual void OnDrain(std::function<void()> drained) = 0;
  /// Runs once when the client goes away before the end.
  virtual void OnClosed(std::function<void()> closed) = 0;
  virtual bool closed() const = 0;
};

using Handler = std::function<void(Request request, std::shared_ptr<ResponseWriter> writer)>;

struct ServerOptions {
  size_t max_header_bytes = 16 * 1024;
  size_t max_body_bytes = 8 * 1024 * 1024;  // over it: 413
  /// Requests (without their body yet) that may have up to `max_large_body_bytes`; so many at once
  /// have more than `max_body_bytes`, and the others get 503.
  std::function<bool(const Request&)> may_be_large = {};
  size_t max_large_body_bytes = 0;
  size_t max_large_bodies = 4;
  size_t max_connections = 10'000;  // over it: accepted and closed with 503
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds write_timeout{30'000};
  size_t stream_high_water = 256 * 1024;
};

/// An HTTP/1.1 server on one loop, with and without TLS: keep-alive, pipelining refused politely
/// (served one by one), strict framing (Content-Length together with Transfer-Encoding, obs-fold,
/// bare LF and duplicate Content-Length are 400), `Expect: 100-continue`, HEAD, limits, timeouts,
/// graceful drain.
class Server {
 public:
  Server(EventLoop& loop, ServerOptions options, Handler handler);
  ~Server();

  /// `address` as "127.0.0.1:8080"; port 0 picks one. Returns the port.
  Result<uint16_t> Listen(const std::string& address);
  /// The same over TLS 1.2 and 1.3. PEM files: the chain, leaf first, and its key. They are looked
  /// at every 2 s, and what is new in them serves the connections that come then.
  Result<uint16_t> ListenTls(const std::string& address, const std::string& certificate_file,
                             const std::string& key_file);

  /// Takes the connections of a socket that listens already, and owns it then.
  void Serve(int listening);

  /// Stops accepting, answers what is under way with `Connection: close`, closes idle connections,
  /// then runs `done`; after `deadline` it closes the rest.
  void Drain(std::chrono::milliseconds deadline, std::function<void()> done);

  size_t connections() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::http
