#pragma once

#include <memory>
#include <string>

#include "common/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace dispatch::http::internal {

/// What a non-blocking read, write or handshake came to.
enum class IoStatus { kDone, kWantRead, kWantWrite, kEof, kError };

struct IoResult {
  IoStatus status = IoStatus::kError;
  size_t size = 0;
};

/// One TLS session, a client's or a server's, straight on a descriptor, which takes a quarter of
/// the memory of asio::ssl::stream.
class TlsSession {
 public:
  TlsSession(ssl_st* ssl) : ssl_(ssl) {}
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  IoResult Handshake();
  IoResult Read(char* data, size_t size);
  IoResult Write(const char* data, size_t size);
  /// Says that nothing more comes, as far as the socket takes it at once.
  void Shutdown();
  /// Why the last call failed.
  std::string ErrorText() const;
  /// Whether both sides agreed on HTTP/2 (ALPN, RFC 7301).
  bool AgreedOnHttp2() const;

 private:
  IoResult Outcome(int result);

  ssl_st* ssl_;
  std::string error_;
};

/// The settings of all TLS sessions of a client.
class TlsContext {
 public:
  /// `ca_file` empty: the system's certificates.
  static Result<std::shared_ptr<TlsContext>> Create(bool verify, const std::string& ca_file);
  ~TlsContext();

  /// A session that accepts only a certificate for `host`, a name or a numeric address. `http2`:
  /// offers it, before HTTP/1.1.
  std::unique_ptr<TlsSession> Open(int fd, const std::string& host, bool http2);

 private:
  TlsContext(ssl_ctx_st* context, bool verify) : context_(context), verify_(verify) {}

  ssl_ctx_st* context_;
  bool verify_;
};

}  // namespace dispatch::http::internal
