#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dispatch::http::internal {

/// An absolute http or https URL, taken apart for a request.
struct Url {
  bool tls = false;
  std::string host;  // lower-case, an IPv6 address without brackets
  uint16_t port = 0;
  std::string authority;  // the Host header: with brackets, and the port unless it is the default
  std::string target;     // path and query, as written
  std::string key1;       // names the connections to there, of HTTP/1.1
  std::string key2;       // and of HTTP/2
};

/// Refuses what has no place in an endpoint's URL: other schemes, user names and passwords.
Result<Url> ParseUrl(std::string_view text);

}  // namespace dispatch::http::internal
