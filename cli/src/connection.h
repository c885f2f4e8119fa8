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
  std::string organization;     // empty: the key's own
  std::string project;          // of VMware's Knative line; empty: none
  std::string token;            // empty: none
  std::string service_account;  // with a private key: `token` is made of them
  std::string private_key;      // its file, or PEM
  bool insecure = false;        // no check of the server's certificate
  std::string origin;           // for people: "context prod"
  // Where endpoints are served, over HTTP and HTTPS: the URL when it is known, else the port on
  // `host`; 0: VMware's.
  std::string endpoints;
  std::string secure_endpoints;
  int endpoints_port = 0;
  int secure_endpoints_port = 0;

  std::string Url() const;
  /// Where functions are served to HTTP clients, without a slash at its end.
  std::string EndpointsUrl(bool secure) const;
};

/// --config, --context, --host, --port, --scheme, --organization, --project, --token,
/// --service-account, --jwt-private-key, --insecure.
const std::vector<Flag>& ConnectionFlags();

/// The configuration file in use: --config, DISPATCH_CONFIG, ~/.dispatch/config.json.
std::filesystem::path ConfigPath(const Arguments& flags, const Environment& environment);

/// "http://host:port", "host:port", "host", "[::1]:8080" into the fields that it says.
Status ParseAddress(std::string_view text, Connection& connection);
/// --scheme and --port into the fields.
Status CompleteAddress(const Arguments& flags, Connection& connection);

/// Flags win over DISPATCH_HOST, _PORT, _SCHEME, _ORGANIZATION, _PROJECT, _TOKEN, _SERVICE_ACCOUNT,
/// _JWT_PRIVATE_KEY, these over DISPATCH_API_URL and DISPATCH_API_KEY_FILE, these over the context;
/// without any context a local stack's .dispatch directory, upwards from here, is taken. A key is
/// only sent to the host that it was stored with. A service account signs its token here, for an
/// hour from now (vmware-wire section 1), unless a key is nearer.
Result<Connection> ResolveConnection(const Arguments& flags, const Environment& environment);

}  // namespace dispatch::cli
