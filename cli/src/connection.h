#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/src/arguments.h"
#include "cli/src/environment.h"

namespace dispatch::cli {

/// Where the API is and who asks.
struct Connection {
  std::string scheme;
  std::string host;
  int port = 0;
  std::string organization;  // empty: the key's own
  std::string token;         // empty: none
  bool insecure = false;     // no check of the server's certificate
  std::string origin;        // for people: "context prod"
  std::string endpoints;     // URL of the endpoints' port, when it is known
  int endpoints_port = 0;    // else the port on `host`; 0: VMware's

  std::string Url() const;
  /// Where functions are served to HTTP clients, without a slash at its end.
  std::string EndpointsUrl() const;
};

/// --config, --context, --host, --port, --scheme, --organization, --token, --insecure.
const std::vector<Flag>& ConnectionFlags();

/// The configuration file in use: --config, DISPATCH_CONFIG, ~/.dispatch/config.json.
std::filesystem::path ConfigPath(const Arguments& flags, const Environment& environment);

/// "http://host:port", "host:port", "host", "[::1]:8080" into the fields that it says.
Status ParseAddress(std::string_view text, Connection& connection);
/// --scheme and --port into the fields.
Status CompleteAddress(const Arguments& flags, Connection& connection);

/// Flags win over DISPATCH_HOST, _PORT, _SCHEME, _ORGANIZATION, _TOKEN, these over
/// DISPATCH_API_URL and DISPATCH_API_KEY_FILE, these over the context; without any context a local
/// stack's .dispatch directory, upwards from here, is taken. A key is only sent to the host that it
/// was stored with.
Result<Connection> ResolveConnection(const Arguments& flags, const Environment& environment);

}  // namespace dispatch::cli
