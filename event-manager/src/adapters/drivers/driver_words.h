#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "event-manager/src/adapters/drivers/running_driver.h"

namespace dispatch {

/// What a driver that is a program is told, as VMware's were: `--key=value` for each of its config
/// (`--key` for an empty value), and `--dispatch-api-endpoint=127.0.0.1:port`.
std::vector<std::string> DriverArguments(const DriverSetup& setup, uint16_t port);

/// Its environment, `NAME=value`: its secrets as UPPER_SNAKE ("apiToken", "api-token" and
/// "API_TOKEN" are API_TOKEN), but for those that would hide what is ours; AUTH_TOKEN, DISPATCH_*,
/// and a /tmp for a home.
std::vector<std::string> DriverEnvironment(const DriverSetup& setup, uint16_t port,
                                           const std::string& token);

}  // namespace dispatch
