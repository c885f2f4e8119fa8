#include "cli/src/connection.h"

#include <fmt/format.h>

#include <charconv>

#include "cli/src/contexts.h"
#include "common/jwt/signing_key.h"

namespace dispatch::cli {

namespace {

namespace fs = std::filesystem;

constexpr int kLocalPort = 8080;
constexpr int kEndpointsPort = 8081;
constexpr int kSecureEndpointsPort = 8444;

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string Trim(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  return text;
}

Result<int> ParsePort(std::string_view text) {
  int port = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (fault == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536) {
    return port;
  }
  return UsageError(fmt::format("'{}' is not a port", text));
}

// A stored key is for the host that it was stored with.
Status MoveTo(std::string_view address, Connection& connection) {
  std::string before = connection.host;
  RETURN_IF_ERROR(ParseAddress(address, connection));
  if (connection.host != before) {
    connection.token.clear();
    connection.service_account.clear();
    connection.private_key.clear();
    connection.endpoints.clear();
    connection.secure_endpoints.clear();
    connection.endpoints_port = 0;
    connection.secure_endpoints_port = 0;
  }
  return {};
}

void TakeContext(const std::string& name, const json::object& context, Connection& connection) {
  connection.host = json::GetString(context, "host");
  connection.port = static_cast<int>(json::GetInt(context, "port"));
  connection.scheme = json::GetString(context, "scheme");
  connection.organization = json::GetString(context, "organization");
  connection.project = json::GetString(context, "project");
  connection.token = json::GetString(context, "token");
  connection.service_account = json::GetString(context, "serviceaccount");
  connection.private_key = json::GetString(context, "jwtprivatekey");
  connection.insecure = json::GetBool(context, "insecure");
  connection.endpoints_port = static_cast<int>(json::GetInt(context, "api-http-port"));
  connection.secure_endpoints_port = static_cast<int>(json::GetInt(context, "api-https-port"));
  connection.origin = fmt::format("context {}", name);
}

// One `export NAME=VALUE` line of a file that deploy/local/up wrote.
std::string Exported(const std::string& text, const std::string& name) {
  std::string start = fmt::format("export {}=", name);
  size_t at = text.starts_with(start) ? 0 : text.find("\n" + start);
  if (at == std::string::npos) return "";
  at = text.find('=', at) + 1;
  return text.substr(at, text.find('\n', at) - at);
}

Status TakeLocalStack(const Environment& environment, Connection& connection) {
  fs::path env = "run/env";
  std::optional<fs::path> file;
  if (auto home = environment.Get("DISPATCH_HOME")) {
    std::error_code ignored;
    if (fs::exists(fs::path(*home) / env, ignored)) file = fs::path(*home) / env;
  } else {
    file = Environment::FindUpwards(environment.directory, ".dispatch" / env);
  }
  if (!file) return {};
  fs::path home = file->parent_path().parent_path();
  auto text = ReadFile(file->string());
  auto key = ReadFile((home / "keys" / "admin.key").string());
  if (!text.ok() || !key.ok()) return {};
  std::string url = Exported(*text, "DISPATCH_API_URL");
  if (url.empty()) return {};
  RETURN_IF_ERROR(ParseAddress(url, connection));
  connection.token = Trim(*key);
  connection.endpoints = Exported(*text, "DISPATCH_ENDPOINTS_URL");
  connection.secure_endpoints = Exported(*text, "DISPATCH_ENDPOINTS_TLS_URL");
  connection.origin = fmt::format("local stack {}", home.string());
  return {};
}

Status TakeStored(const Arguments& flags, const Environment& environment, Connection& connection) {
  ContextFile file(ConfigPath(flags, environment));
  RETURN_IF_ERROR(file.Load());
  std::string name = flags.ValueOr("context", file.current());
  const json::object* context = file.Find(name);
  if (context != nullptr) {
    TakeContext(name, *context, connection);
    return {};
  }
  if (flags.Has("context")) return file.Use(name);
  return TakeLocalStack(environment, connection);
}

Status TakeEnvironment(const Environment& environment, Connection& connection) {
  if (auto url = environment.Get("DISPATCH_API_URL")) {
    RETURN_IF_ERROR(MoveTo(*url, connection));
    connection.origin = "DISPATCH_API_URL";
    connection.endpoints = environment.Get("DISPATCH_ENDPOINTS_URL").value_or("");
    connection.secure_endpoints = environment.Get("DISPATCH_ENDPOINTS_TLS_URL").value_or("");
    if (auto file = environment.Get("DISPATCH_API_KEY_FILE")) {
      ASSIGN_OR_RETURN(std::string key, ReadFile(*file));
      connection.token = Trim(std::move(key));
    }
  }
  return {};
}

Status TakeSingle(const Arguments& flags, const Environment& environment, Connection& connection) {
  auto given = [&](const std::string& name) {
    auto flag = flags.Value(name);
    if (flag) return flag;
    std::string variable = "DISPATCH_" + name;
    for (char& c : variable) {
      c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return environment.Get(variable);
  };
  if (auto host = given("host")) {
    RETURN_IF_ERROR(MoveTo(*host, connection));
    connection.origin = "--host or DISPATCH_HOST";
  }
  if (auto scheme = given("scheme")) connection.scheme = *scheme;
  if (auto port = given("port")) {
    ASSIGN_OR_RETURN(connection.port, ParsePort(*port));
  }
  if (auto organization = given("organization")) connection.organization = *organization;
  if (auto project = given("project")) connection.project = *project;
  auto token = given("token");
  auto account = given("service-account");
  // Who is named here is not who the stored key is for.
  if (account) {
    connection.service_account = *account;
    connection.token.clear();
  }
  if (auto key = given("jwt-private-key")) connection.private_key = *key;
  if (token) connection.token = Trim(*token);
  if (flags.Has("insecure")) connection.insecure = true;
  return {};
}

// Exactly the claims of VMware's command (vmware-wire section 1).
Status SignToken(const Environment& environment, Connection& connection) {
  if (!connection.token.empty() || connection.service_account.empty()) return {};
  if (connection.private_key.empty()) {
    return UsageError(fmt::format("service account {} needs --jwt-private-key: the file of its key",
                                  connection.service_account));
  }
  std::string issuer = connection.service_account;
  if (issuer.find('/') == std::string::npos) {
    if (connection.organization.empty()) {
      return UsageError(
          fmt::format("say whose service account it is: --organization NAME, or "
                      "--service-account NAME/{}",
                      issuer));
    }
    issuer = connection.organization + "/" + issuer;
  }
  std::string pem = connection.private_key;
  if (!pem.starts_with("-----BEGIN")) {
    ASSIGN_OR_RETURN(pem, ReadFile(environment.directory / connection.private_key));
  }
  auto key = jwt::SigningKey::FromPem(pem);
  if (!key.ok()) return UsageError(fmt::format("--jwt-private-key {}", key.message()));
  int64_t now = ToMillis(environment.now) / 1000;
  ASSIGN_OR_RETURN(connection.token,
                   key->Sign({{"iss", issuer}, {"iat", now - 60}, {"exp", now + 3600}}));
  return {};
}

}  // namespace

Status ParseAddress(std::string_view text, Connection& connection) {
  size_t scheme = text.find("://");
  if (scheme != std::string_view::npos) {
    connection.scheme = text.substr(0, scheme);
    text.remove_prefix(scheme + 3);
    connection.port = 0;
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  size_t close = text.starts_with('[') ? text.find(']') : std::string_view::npos;
  bool bracketed = close != std::string_view::npos;
  size_t colon = text.find(':', bracketed ? close : 0);
  // More than one colon and no brackets: an IPv6 address alone.
  bool has_port = colon != std::string_view::npos && text.rfind(':') == colon;
  if (has_port) {
    ASSIGN_OR_RETURN(connection.port, ParsePort(text.substr(colon + 1)));
    text = text.substr(0, colon);
  }
  if (bracketed) text = text.substr(1, close - 1);
  if (text.empty() || text.find_first_of("/ @?#") != std::string_view::npos) {
    return UsageError(fmt::format("'{}' is not a host", text));
  }
  connection.host = text;
  return {};
}

Status CompleteAddress(const Arguments& flags, Connection& connection) {
  if (auto scheme = flags.Value("scheme")) connection.scheme = *scheme;
  if (auto port = flags.Value("port")) {
    ASSIGN_OR_RETURN(connection.port, ParsePort(*port));
  }
  if (connection.scheme.empty() || connection.scheme == "http" || connection.scheme == "https") {
    return {};
  }
  return UsageError(fmt::format("the scheme is http or https, not '{}'", connection.scheme));
}

std::string Connection::Url() const {
  bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Connection::EndpointsUrl(bool secure) const {
  const std::string& known = secure ? secure_endpoints : endpoints;
  if (!known.empty()) return known;
  Connection there = *this;
  there.scheme = secure ? "https" : "http";
  int port = secure ? secure_endpoints_port : endpoints_port;
  there.port = port != 0 ? port : secure ? kSecureEndpointsPort : kEndpointsPort;
  return there.Url();
}

const std::vector<Flag>& ConnectionFlags() {
  static const std::vector<Flag> flags = {
      {.name = "config", .value = "FILE", .help = "file of contexts ($DISPATCH_CONFIG)"},
      {.name = "context", .value = "NAME", .help = "one of its contexts, not the current one"},
      {.name = "host", .value = "HOST", .help = "where the API is ($DISPATCH_HOST)"},
      {.name = "port", .value = "PORT", .help = "and its port ($DISPATCH_PORT)"},
      {.name = "scheme", .value = "http|https", .help = "and how ($DISPATCH_SCHEME)"},
      {.name = "organization",
       .value = "NAME",
       .help = "act in this organization ($DISPATCH_ORGANIZATION)"},
      {.name = "project",
       .value = "NAME",
       .help = "of VMware's Knative line: sent along ($DISPATCH_PROJECT)"},
      {.name = "token", .value = "KEY", .help = "API key ($DISPATCH_TOKEN)"},
      {.name = "service-account",
       .value = "[ORG/]NAME",
       .help = "sign a token for it in place of a key ($DISPATCH_SERVICE_ACCOUNT)"},
      {.name = "jwt-private-key",
       .value = "FILE",
       .help = "with this key in PEM ($DISPATCH_JWT_PRIVATE_KEY)"},
      {.name = "insecure", .help = "do not check the server's certificate"},
  };
  return flags;
}

fs::path ConfigPath(const Arguments& flags, const Environment& environment) {
  if (auto path = flags.Value("config")) return *path;
  if (auto path = environment.Get("DISPATCH_CONFIG")) return *path;
  return fs::path(environment.Get("HOME").value_or(".")) / ".dispatch" / "config.json";
}

Result<Connection> ResolveConnection(const Arguments& flags, const Environment& environment) {
  Connection connection;
  RETURN_IF_ERROR(TakeStored(flags, environment, connection));
  RETURN_IF_ERROR(TakeEnvironment(environment, connection));
  RETURN_IF_ERROR(TakeSingle(flags, environment, connection));
  if (connection.host.empty()) {
    return Error{
        Code::kNotFound,
        "it is not said which Dispatch to talk to: start one here with `dispatch up`, name "
        "one with `dispatch context set NAME --host HOST --token KEY`, or give --host"};
  }
  if (connection.scheme.empty()) {
    connection.scheme = IsLoopback(connection.host) ? "http" : "https";
  }
  if (connection.scheme != "http" && connection.scheme != "https") {
    return UsageError(fmt::format("the scheme is http or https, not '{}'", connection.scheme));
  }
  if (connection.port == 0) {
    bool local = connection.scheme == "http" && IsLoopback(connection.host);
    connection.port = connection.scheme == "https" ? 443 : local ? kLocalPort : 80;
  }
  RETURN_IF_ERROR(SignToken(environment, connection));
  return connection;
}

}  // namespace dispatch::cli
