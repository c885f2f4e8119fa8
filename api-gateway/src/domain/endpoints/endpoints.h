#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api-gateway/src/domain/directory.h"
#include "api-gateway/src/domain/endpoints/endpoint_table.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/http/server.h"
#include "common/span.h"

namespace dispatch::gateway {

/// The second HTTP server's requests: finds the API, checks who asks, runs its function through
/// function-manager and answers with what came of it (vmware-wire sections 6 and 12). One owner.
class Endpoints {
 public:
  struct Options {
    /// TLS ends here: X-Forwarded-Proto, which a proxy in front says, is not believed.
    bool own_tls = false;
    Tracing tracing = {};
  };

  Endpoints(Loop& loop, Directory& directory, broker::RpcClient& rpc, Options options)
      : loop_(loop), directory_(directory), rpc_(rpc), options_(options) {}

  EndpointTable& table() { return table_; }
  void Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer);

 private:
  /// Null: the request may go on; else the answer that it gets. `claims` become those of the token
  /// that was asked for.
  std::unique_ptr<http::Response> Refuse(const http::Request& request,
                                         const EndpointTable::Endpoint& api,
                                         const std::string& scheme,
                                         std::optional<json::object>& claims) const;

  Loop& loop_;
  Directory& directory_;
  broker::RpcClient& rpc_;
  const Options options_;
  EndpointTable table_;
};

}  // namespace dispatch::gateway
