#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "broker-adapters/rpc.h"
#include "common/crypto.h"

namespace dispatch {

/// Asks function-manager for the values of secrets, which cross Kafka in a box that only this
/// process opens: its key is made at its start. One owner.
class SecretClient {
 public:
  explicit SecretClient(broker::RpcClient& rpc)
      : rpc_(rpc), keys_(crypto::SealingKeysFrom(crypto::RandomBytes(32))) {}

  using Values = std::map<std::string, std::string>;
  /// The values of all, merged; of later ones in the place of earlier ones. kNotFound names one
  /// that there is not.
  void Get(const std::string& org, const std::vector<std::string>& names,
           std::function<void(Result<Values>)> done);

 private:
  broker::RpcClient& rpc_;
  const crypto::SealingKeys keys_;
};

}  // namespace dispatch
