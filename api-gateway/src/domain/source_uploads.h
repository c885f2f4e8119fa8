#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "api-gateway/src/domain/service_client.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// A function's source as text of base64: what comes with its request, and what at most in pieces.
inline constexpr size_t kSourcePiece = 900'000;  // a multiple of 4, so that each piece is base64
inline constexpr size_t kMaxSourceText = (size_t{16} * 1024 * 1024 + 2) / 3 * 4;

/// Sends sources that are too large for one request to function-manager in pieces, one after the
/// other, each again when nobody answered: a function-manager that ends in between is no failure.
/// One owner.
class SourceUploads {
 public:
  struct Options {
    size_t most = 4;  // at once: each holds its whole text
    std::chrono::milliseconds piece_timeout{5'000};
    std::chrono::milliseconds pause{250};  // before a piece is sent again
    Duration timeout = std::chrono::seconds(60);
  };
  using Done = std::function<void(const std::string& digest)>;

  SourceUploads(Loop& loop, ServiceClient& services) : SourceUploads(loop, services, Options()) {}
  SourceUploads(Loop& loop, ServiceClient& services, Options options)
      : loop_(loop), services_(services), options_(options) {}

  /// `done` gets what the source is called in function.create and .update. What goes wrong is
  /// answered to the caller.
  void Send(const CallPtr& call, std::string text, Done done);

 private:
  struct Upload;
  using UploadPtr = std::shared_ptr<Upload>;

  void Next(const UploadPtr& upload);
  void Answered(const UploadPtr& upload, Result<broker::RpcReply> reply);

  Loop& loop_;
  ServiceClient& services_;
  const Options options_;
  size_t under_way_ = 0;
};

}  // namespace dispatch::gateway
