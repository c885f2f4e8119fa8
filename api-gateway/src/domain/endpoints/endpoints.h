#pragma once

#include <memory>
#include <string>

#include "api-gateway/src/domain/directory.h"
#include "api-gateway/src/domain/endpoints/endpoint_table.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/http/server.h"

namespace dispatch::gateway {

/// The second HTTP server's requests: finds the API, checks who asks, runs its function through
/// function-manager and answers with what came of it (vmware-wire sections 6 and 12). One owner.
class Endpoints {
 public:
  Endpoints(Loop& loop, Directory& directory, broker::RpcClient& rpc)
      : loop_(loop), directory_(directory), rpc_(rpc) {}

  EndpointTable& table() { return table_; }
  void Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer);

 private:
  /// Null: the request may go on; else the answer that it gets.
  std::unique_ptr<http::Response> Refuse(const http::Request& request, const schema::Api& api,
                                         const std::string& scheme) const;

  Loop& loop_;
  Directory& directory_;
  broker::RpcClient& rpc_;
  EndpointTable table_;
};

}  // namespace dispatch::gateway
