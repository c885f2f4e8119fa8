#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/http/message.h"
#include "common/json.h"
#include "common/result.h"

namespace dispatch::gateway {

/// The input of a function behind an endpoint, by VMware's rules: of a GET the query, a repeated
/// key as an array; else the body: JSON as it is, forms (urlencoded and multipart, without files)
/// as an object, nothing as {}, without a content type as a text. kInvalidArgument for what is no
/// JSON or form, kUnsupportedMedia for another type.
Result<json::value> EndpointInput(const http::Request& request);

/// What the function sees as `context.httpContext`: the request's fields (lower case), `params` of
/// its path, and VMware's keys in both of its spellings (server_protocol and server-protocol).
/// `claims` are those of the caller's token, and there only if one was asked for. Without
/// `Authorization` when that was for us.
json::object HttpContext(const http::Request& request, const std::string& scheme,
                         const std::vector<std::pair<std::string, std::string>>& params,
                         bool hide_authorization,
                         const std::optional<json::object>& claims = std::nullopt);

}  // namespace dispatch::gateway
