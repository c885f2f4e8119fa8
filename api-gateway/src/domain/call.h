#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api-gateway/src/domain/directory.h"
#include "api-gateway/src/domain/request_trace.h"
#include "common/http/message.h"
#include "common/http/server.h"
#include "common/json.h"
#include "common/result.h"

namespace dispatch::gateway {

/// One request under way, from routing to its answer: who asks, for which organisation, and the
/// conventions of every answer (API.md). Answers once; dropped without an answer it says 500.
class Call {
 public:
  /// Told once the answer is sent (status), or 0 when there was none.
  using Finished = std::function<void(const Call& call, int status)>;

  Call(http::Request r, std::shared_ptr<http::ResponseWriter> writer);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  http::Request request;
  std::string request_id;                      // the caller's, or made
  std::shared_ptr<const Principal> principal;  // null on open routes
  std::string org;                             // that the request acts in
  RequestTrace trace;
  Finished finished;

  void Send(http::Response response);
  void SendJson(int status, std::string body);
  void SendJson(int status, const json::value& body) { SendJson(status, json::Serialize(body)); }
  void Fail(const Error& error);

  /// Answers 200 with a stream, which is then written and ended by the caller; `finished` runs when
  /// this call goes.
  std::shared_ptr<http::ResponseWriter> Stream(std::string_view content_type);

  /// Adds a field to the answer to come.
  void AddHeader(std::string name, std::string value);

  /// Whether the principal may do one of the actions; else answers 403.
  bool Require(const std::vector<std::string_view>& actions, std::string_view resource);

  /// The trace context to pass on.
  std::string Traceparent() const { return trace.Traceparent(request); }
  /// The JSON object of the body: 415 for another content type, 400 for what is no object.
  Result<json::object> Body() const;

 private:
  std::shared_ptr<http::ResponseWriter> writer_;
  http::Headers extra_;
  int streamed_ = 0;  // the status of a stream
};

using CallPtr = std::shared_ptr<Call>;

}  // namespace dispatch::gateway
