#include "event-manager/src/adapters/drivers/driver_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

namespace dispatch {

namespace {

std::string UpperSnake(const std::string& name) {
  std::string out;
  bool lower = false;
  for (unsigned char c : name) {
    if (std::isalnum(c) == 0) {
      out += '_';
      lower = false;
      continue;
    }
    if (std::isupper(c) != 0 && lower) out += '_';
    lower = std::islower(c) != 0 || std::isdigit(c) != 0;
    out += static_cast<char>(std::toupper(c));
  }
  return out;
}

bool IsOurs(const std::string& variable) {
  constexpr std::string_view kOurs[] = {"PATH", "HOME", "TMPDIR", "LANG", "AUTH_TOKEN"};
  return variable.starts_with("LD_") || variable.starts_with("DISPATCH_") ||
         std::find(std::begin(kOurs), std::end(kOurs), variable) != std::end(kOurs);
}

}  // namespace

std::vector<std::string> DriverArguments(const DriverSetup& setup, uint16_t port) {
  std::vector<std::string> arguments;
  for (const auto& [key, value] : setup.config) {
    if (key == "topic") continue;  // ours
    arguments.push_back(value.empty() ? "--" + key : fmt::format("--{}={}", key, value));
  }
  arguments.push_back(fmt::format("--dispatch-api-endpoint=127.0.0.1:{}", port));
  return arguments;
}

std::vector<std::string> DriverEnvironment(const DriverSetup& setup, uint16_t port,
                                           const std::string& token) {
  std::vector<std::string> env;
  for (const auto& [name, value] : setup.secrets) {
    std::string variable = UpperSnake(name);
    if (!IsOurs(variable)) env.push_back(fmt::format("{}={}", variable, value));
  }
  env.insert(
      env.end(),
      {"HOME=/tmp", "TMPDIR=/tmp", "AUTH_TOKEN=" + token,
       fmt::format("DISPATCH_ENDPOINT=http://127.0.0.1:{}/{}", port, token),
       fmt::format("DISPATCH_LISTENER_HTTP_PORT={}", port),
       "DISPATCH_ORGANIZATION=" + setup.claimed.org, "DISPATCH_DRIVER_NAME=" + setup.claimed.name,
       "DISPATCH_DRIVER_TYPE=" + json::GetString(setup.claimed.document, "type")});
  return env;
}

}  // namespace dispatch
