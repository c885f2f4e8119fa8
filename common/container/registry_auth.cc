#include "common/container/registry_auth.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "common/crypto.h"
#include "common/json.h"
#include "common/private_file.h"

namespace dispatch::container {

namespace {

constexpr size_t kMostBytes = 256 * 1024;
constexpr char kHub[] = "docker.io";

Error Fault(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

/// "https://index.docker.io/v1/" and "docker.io" name one, as do "https://r:5000" and "r:5000".
std::string Plain(std::string_view name) {
  if (size_t scheme = name.find("://"); scheme != name.npos) name.remove_prefix(scheme + 3);
  std::string host(name.substr(0, name.find('/')));
  constexpr std::array kNames = {"index.docker.io", "registry-1.docker.io"};
  return std::find(kNames.begin(), kNames.end(), host) != kNames.end() ? kHub : host;
}

/// As the engine reads it: with padding.
std::string Encoded(const json::object& credentials) {
  std::string text = crypto::Base64UrlEncode(json::Serialize(credentials));
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

Result<std::string> HeaderOf(const std::string& name, const json::object& entry) {
  if (std::string token = json::GetString(entry, "identitytoken"); !token.empty()) {
    return Encoded({{"identitytoken", token}, {"serveraddress", name}});
  }
  std::string user = json::GetString(entry, "username");
  std::string password = json::GetString(entry, "password");
  if (std::string both = json::GetString(entry, "auth"); !both.empty()) {
    auto pair = crypto::Base64Decode(both);
    size_t colon = pair.ok() ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return Fault(fmt::format("auths.{}.auth must be base64 of user:password", name));
    }
    user = pair->substr(0, colon);
    password = pair->substr(colon + 1);
  }
  if (user.empty()) {
    return Fault(
        fmt::format("auths.{} has no credentials: helpers (credsStore) are not asked, put "
                    "auth, username and password, or identitytoken there",
                    name));
  }
  return Encoded({{"username", user}, {"password", password}, {"serveraddress", name}});
}

}  // namespace

std::string RegistryOf(const std::string& reference) {
  size_t slash = reference.find('/');
  if (slash == std::string::npos) return kHub;
  std::string first = reference.substr(0, slash);
  bool host = first == "localhost" || first.find_first_of(".:") != std::string::npos;
  return host ? Plain(first) : kHub;
}

Result<std::string> RegistryAuth(const std::string& docker_config, const std::string& reference) {
  auto config = json::ParseObject(docker_config);
  if (!config.ok()) return Fault("must be JSON, as `docker login` writes it");
  const auto* auths = json::GetObject(*config, "auths");
  if (auths == nullptr) return Fault("must have `auths`, as `docker login` writes it");
  std::string registry = RegistryOf(reference);
  for (const auto& [name, entry] : *auths) {
    if (Plain(name) != registry) continue;
    const auto* object = entry.if_object();
    if (object == nullptr) return Fault(fmt::format("auths.{} must be an object", registry));
    return HeaderOf(name, *object);
  }
  return std::string();
}

Result<std::string> RegistryAuthOfFile(const std::string& path, const std::string& reference) {
  if (path.empty()) return std::string();
  ASSIGN_OR_RETURN(std::string text, ReadPrivateFile(path, kMostBytes));
  auto header = RegistryAuth(text, reference);
  if (header.ok()) return header;
  return Fault(fmt::format("{}: {}", path, header.message()));
}

}  // namespace dispatch::container
