#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/event_loop.h"
#include "common/http/message.h"
#include "common/result.h"

namespace dispatch::http {

/// kAny: HTTP/2 where TLS agrees on it (ALPN), else HTTP/1.1. kHttp2: without TLS too, where the
/// server must know it (RFC 9113, section 3.3).
enum class HttpVersion { kAny, kHttp11, kHttp2 };

struct ClientRequest {
  std::string method = "POST";
  std::string url;  // http:// or https://, absolute
  Headers headers;  // Host, Content-Length and Connection are the client's
  std::string body;
  std::chrono::milliseconds timeout{30'000};  // for everything: DNS, connect, send, whole answer
  size_t max_response_bytes = 256 * 1024;     // a longer answer is cut there and marked
  HttpVersion version = HttpVersion::kAny;
  /// Takes the body of a 2xx answer as it comes, in place of ClientResponse::body: for streams.
  /// False: no more, the request ends with what there is. `timeout` is then for the answer's head,
  /// and again from each piece to the next.
  std::function<bool(std::string_view piece)> on_piece = nullptr;
  /// Beside on_piece, HTTP/1.1: the head of a 2xx answer is there, so its body comes from now on.
  std::function<void()> on_begin = nullptr;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
  bool truncated = false;
};

struct ClientOptions {
  size_t max_idle_per_host = 512;
  size_t max_connections_per_host = 1024;  // over it, requests wait in order within their timeout
  std::chrono::milliseconds idle_timeout{30'000};
  std::chrono::milliseconds connect_timeout{5'000};
  /// HTTP/2: a connection that nothing came from for so long is asked by PING whether it lives, and
  /// ended when that is not answered for as long again.
  std::chrono::milliseconds ping_interval{10'000};
  /// Refuse addresses that are not public (loopback, private, link-local, unique local, multicast,
  /// unspecified, mapped forms of these) after resolving, before connecting. Those of metadata
  /// services are always refused.
  bool allow_private_addresses = false;
  /// Where every connection leads, in place of what a URL's host names: gives a stream socket that
  /// does not block and whose connect was begun, which the client then owns. No address is checked.
  std::function<Result<int>()> dial = nullptr;
  bool verify_tls = true;
  std::string ca_file;  // empty: the system's
  std::string user_agent = "Dispatch";
};

/// A connection to a socket in the file system, for ClientOptions::dial.
Result<int> DialUnix(const std::string& path);

/// Why a request had no answer, in the fixed words that attempts are recorded with.
enum class FailureKind {
  kNone,
  kDns,
  kConnect,
  kTls,
  kTimeout,
  kReset,
  kProtocol,
  kForbiddenAddress
};

std::string_view FailureKindName(FailureKind kind);

/// A client of HTTP/1.1 and HTTP/2 on one loop with a keep-alive pool per scheme, host and port.
/// Follows no redirects. A request on a kept connection that turns out closed before a byte of
/// answer, or that a server of HTTP/2 says it did not look at, is sent again once on another one.
/// In HTTP/2 requests share connections, as many on each as the server allows, 256 at most.
class Client {
 public:
  struct Outcome {
    FailureKind failure = FailureKind::kNone;
    std::string message;  // for kNone empty
    ClientResponse response;
    std::chrono::microseconds elapsed{0};
  };
  using Callback = std::function<void(Outcome outcome)>;

  Client(EventLoop& loop, ClientOptions options);
  ~Client();

  /// Never calls back before it returns. After the client's end nothing is called back.
  void Send(ClientRequest request, Callback done);

  size_t in_flight() const;
  size_t connections() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::http
