#pragma once

#include <memory>
#include <string>

#include "common/http/internal/tls.h"
#include "common/result.h"

struct ssl_ctx_st;

namespace dispatch::http::internal {

/// A server's certificate and what goes with it. Sessions that are open keep the one that they
/// began with.
class TlsServerContext {
 public:
  /// PEM files: the chain, leaf first, and its key without a passphrase. kInvalidArgument names the
  /// file that cannot be used, or says that they do not belong together.
  static Result<std::shared_ptr<TlsServerContext>> Load(const std::string& certificate_file,
                                                        const std::string& key_file);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  /// Null when there is no memory. Agrees on HTTP/1.1 with clients that ask.
  std::unique_ptr<TlsSession> Accept(int fd);
  /// The end of the certificate, in seconds since the epoch.
  int64_t not_after() const;

 private:
  explicit TlsServerContext(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* context_;
};

/// The certificate of a listener, read again when its files change. A pair that does not fit, as in
/// the middle of a renewal, leaves the old one in use. Lives on the server's loop.
class TlsCertificate {
 public:
  TlsCertificate(std::string certificate_file, std::string key_file)
      : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)) {}

  /// The first time: the error is the caller's.
  Status Load();
  /// Cheap when nothing changed. What went wrong is logged.
  void Refresh();
  /// Null before Load.
  TlsServerContext* context() const { return context_.get(); }

 private:
  /// What tells one state of both files from another; empty when one is missing.
  std::string Stamp() const;
  Status Read(std::string stamp);

  const std::string certificate_file_;
  const std::string key_file_;
  std::string stamp_;    // of what is in use
  std::string refused_;  // the last that could not be used: told once
  std::shared_ptr<TlsServerContext> context_;
};

}  // namespace dispatch::http::internal
