#include "common/http/internal/tls_server.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <cstring>

#include "common/log.h"
#include "common/metrics.h"

namespace dispatch::http::internal {

namespace {

std::string LastError() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason != nullptr ? reason : "it cannot be read";
}

// A key with a passphrase is refused: nobody is there to ask.
int NoPassphrase(char*, int, int, void*) { return -1; }

int AgreeOnHttp11(SSL*, const unsigned char** out, unsigned char* size,
                  const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kKnown[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  int found =
      SSL_select_next_proto(&chosen, size, kKnown, sizeof(kKnown) - 1, offered, offered_size);
  *out = chosen;
  // RFC 7301, section 3.2.
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::Load(
    const std::string& certificate_file, const std::string& key_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return {Code::kInternal, LastError()};
  std::shared_ptr<TlsServerContext> made(new TlsServerContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // HTTP frames its messages itself: a client that leaves without a word is no attack.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets do
  SSL_CTX_set_alpn_select_cb(context, AgreeOnHttp11, nullptr);
  SSL_CTX_set_default_passwd_cb(context, NoPassphrase);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    return {Code::kInvalidArgument,
            fmt::format("{} is no certificate in PEM: {}", certificate_file, LastError())};
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return {Code::kInvalidArgument,
            fmt::format("{} is no key in PEM without a passphrase, or not the key of {}: {}",
                        key_file, certificate_file, LastError())};
  }
  return made;
}

TlsServerContext::~TlsServerContext() { SSL_CTX_free(context_); }

std::unique_ptr<TlsSession> TlsServerContext::Accept(int fd) {
  SSL* ssl = SSL_new(context_);
  if (ssl == nullptr) return nullptr;
  auto session = std::make_unique<TlsSession>(ssl);
  if (SSL_set_fd(ssl, fd) != 1) return nullptr;
  SSL_set_accept_state(ssl);
  return session;
}

int64_t TlsServerContext::not_after() const {
  tm end{};
  const X509* leaf = SSL_CTX_get0_certificate(context_);
  return leaf != nullptr && ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) == 1 ? timegm(&end) : 0;
}

std::string TlsCertificate::Stamp() const {
  std::string stamp;
  for (const std::string& file : {certificate_file_, key_file_}) {
    struct stat info{};
    if (stat(file.c_str(), &info) != 0) return {};
    stamp += fmt::format("{}.{}.{}.{}.{} ", info.st_dev, info.st_ino, info.st_size,
                         info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  return stamp;
}

Status TlsCertificate::Read(std::string stamp) {
  ASSIGN_OR_RETURN(context_, TlsServerContext::Load(certificate_file_, key_file_));
  stamp_ = std::move(stamp);
  metrics::GetGauge("dispatch_http_server_certificate_end_seconds",
                    "When the certificate in use ends, in seconds since the epoch.",
                    {{"file", certificate_file_}})
      .Set(static_cast<double>(context_->not_after()));
  return OkStatus();
}

Status TlsCertificate::Load() { return Read(Stamp()); }

void TlsCertificate::Refresh() {
  std::string stamp = Stamp();
  if (stamp == stamp_) return;
  Status read = Read(stamp);
  if (read.ok()) {
    log::Info("certificate read again file={}", certificate_file_);
  } else if (stamp != refused_) {
    refused_ = std::move(stamp);
    log::Warning("certificate not renewed, the old one stays in use error=\"{}\"", read.message());
  }
}

}  // namespace dispatch::http::internal
