#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/message.h"
#include "common/json.h"
#include "common/result.h"

namespace dispatch::cli {

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // percent-encoded
  std::vector<std::pair<std::string, std::string>> query = {};
  http::Headers headers = {};
  std::string body = {};
  std::chrono::milliseconds timeout{60'000};
};

struct ApiAnswer {
  int status = 0;
  http::Headers headers;
  std::string body;
};

/// The REST API, one request at a time. Errors are what the server said (ErrorOf), or that it does
/// not answer, with what to do.
class Api {
 public:
  virtual ~Api() = default;
  virtual Result<ApiAnswer> Send(const ApiRequest& request) = 0;
  /// Hands on the body as it comes, until it ends or `take` returns false (both are OK). Errors of
  /// the connection are retryable, also when nothing came for `request.timeout`.
  virtual Status Follow(const ApiRequest& request,
                        const std::function<bool(std::string_view piece)>& take) = 0;
};

/// The error that an answer of 400 and more tells, with a remedy where the server cannot know one.
Error ErrorOf(const ApiAnswer& answer);

/// Sends JSON (nothing for null) and reads JSON; null for an empty answer.
Result<json::value> CallJson(Api& api, const std::string& method, const std::string& path,
                             const json::value& body = nullptr, http::Headers headers = {});

/// For one segment of a path, or one value of a query.
std::string PercentEncode(std::string_view text);

}  // namespace dispatch::cli
