#include "common/http/internal/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>

#include "common/http/internal/address.h"

namespace dispatch::http::internal {

namespace {

std::string LastError() {
  unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS failed";
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::Create(bool verify, const std::string& ca_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return {Code::kInternal, LastError()};
  std::shared_ptr<TlsContext> made(new TlsContext(context, verify));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  // Idle sessions give their buffers back.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context)
                               : SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr);
  if (loaded != 1) {
    return {Code::kInvalidArgument,
            fmt::format("certificates cannot be read from {}: {}", ca_file, LastError())};
  }
  return made;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::unique_ptr<TlsSession> TlsContext::Open(int fd, const std::string& host, bool http2) {
  SSL* ssl = SSL_new(context_);
  if (ssl == nullptr) return nullptr;
  auto session = std::make_unique<TlsSession>(ssl);
  bool numeric = ParseAddress(host, 0).ok();
  static constexpr unsigned char kOffer[] = "\x02h2\x08http/1.1";
  const unsigned char* offer = http2 ? kOffer : kOffer + 3;
  SSL_set_alpn_protos(ssl, offer, static_cast<unsigned>(kOffer + sizeof(kOffer) - 1 - offer));
  int good = SSL_set_fd(ssl, fd);
  if (!numeric) good &= static_cast<int>(SSL_set_tlsext_host_name(ssl, host.c_str()));
  if (verify_) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    good &= numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str())
                    : SSL_set1_host(ssl, host.c_str());
  }
  if (good != 1) return nullptr;
  SSL_set_connect_state(ssl);
  return session;
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

IoResult TlsSession::Handshake() {
  ERR_clear_error();
  return Outcome(SSL_do_handshake(ssl_));
}

IoResult TlsSession::Read(char* data, size_t size) {
  ERR_clear_error();
  return Outcome(SSL_read(ssl_, data, static_cast<int>(size)));
}

IoResult TlsSession::Write(const char* data, size_t size) {
  ERR_clear_error();
  // OpenSSL counts in int; the rest follows in the next call.
  return Outcome(SSL_write(ssl_, data, static_cast<int>(std::min<size_t>(size, 1 << 20))));
}

void TlsSession::Shutdown() {
  if (SSL_is_init_finished(ssl_) == 1) SSL_shutdown(ssl_);
  ERR_clear_error();
}

IoResult TlsSession::Outcome(int result) {
  if (result > 0) return {IoStatus::kDone, static_cast<size_t>(result)};
  int system_error = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return {IoStatus::kWantRead};
    case SSL_ERROR_WANT_WRITE:
      return {IoStatus::kWantWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {IoStatus::kEof};
    case SSL_ERROR_SYSCALL:
      error_ = system_error != 0 ? std::strerror(system_error) : "connection closed";
      return {IoStatus::kError};
    default:
      break;
  }
  long verified = SSL_get_verify_result(ssl_);
  error_ = verified != X509_V_OK
               ? fmt::format("certificate refused: {}", X509_verify_cert_error_string(verified))
               : LastError();
  ERR_clear_error();
  return {IoStatus::kError};
}

bool TlsSession::AgreedOnHttp2() const {
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &size);
  return size == 2 && std::memcmp(protocol, "h2", 2) == 0;
}

std::string TlsSession::ErrorText() const { return error_; }

}  // namespace dispatch::http::internal
