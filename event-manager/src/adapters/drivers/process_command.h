#pragma once

#include <string>

#include "event-manager/src/adapters/drivers/child_process.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"

namespace dispatch {

/// How the executable of a driver is started: with the arguments and the environment of
/// driver_words, in bubblewrap, where /bin, /lib and /usr, what names and certificates need of
/// /etc, and the directory of the executables are to be seen, and nothing to be written but a /tmp
/// of its own; its filter of system calls is descriptor kDriverFilterFd, to be added. kUnavailable
/// without bubblewrap.
Result<ChildSpec> DriverCommand(const DriverSettings& settings, const DriverSetup& setup,
                                uint16_t port, const std::string& token);

}  // namespace dispatch
