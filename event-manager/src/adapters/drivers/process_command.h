#pragma once

#include <string>

#include "event-manager/src/adapters/drivers/child_process.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"

namespace dispatch {

/// How the executable of a driver is started: `--key=value` for each of its config (`--key` for an
/// empty value), `--dispatch-api-endpoint=host:port`, secrets as UPPER_SNAKE in the environment,
/// with AUTH_TOKEN and DISPATCH_* ; in bubblewrap, where /bin, /lib and /usr, what names and
/// certificates need of /etc, and the directory of the executables are to be seen, and nothing to
/// be written but a /tmp of its own; its filter of system calls is descriptor kDriverFilterFd, to
/// be added. kUnavailable without bubblewrap.
Result<ChildSpec> DriverCommand(const DriverSettings& settings, const DriverSetup& setup,
                                uint16_t port, const std::string& token);

/// "apiToken", "api-token" and "API_TOKEN" are API_TOKEN.
std::string UpperSnake(const std::string& name);

}  // namespace dispatch
