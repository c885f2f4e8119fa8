#pragma once

#include <string>
#include <string_view>

#include "broker-adapters/types.h"
#include "common/result.h"

namespace dispatch::broker {

/// Authenticates records of the internal topics (RPC, replies, state) under the service key, so
/// that write access to one of them does not make a principal. The header `mac` is HMAC-SHA-256
/// over the topic, key and value, each with its length.
class RecordSigner {
 public:
  explicit RecordSigner(std::string key) : key_(std::move(key)) {}

  void Sign(ProduceRecord& record) const;
  /// kUnauthenticated when the header is missing or wrong.
  Status Verify(const Record& record) const;

 private:
  std::string Compute(std::string_view topic, const std::optional<std::string>& key,
                      const std::optional<std::string>& value) const;
  std::string key_;
};

}  // namespace dispatch::broker
