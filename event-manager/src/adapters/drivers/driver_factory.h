#pragma once

#include <string>

#include "common/event_loop.h"
#include "event-manager/src/adapters/drivers/driver_seat.h"
#include "event-manager/src/adapters/drivers/secret_client.h"

namespace dispatch {

/// What the operator says of drivers.
struct DriverSettings {
  std::string drivers_dir;
  std::string engine_socket;   // of a container engine; empty: there is none
  std::string registry_file;   // of credentials for pulls; empty: none
  bool allow_private = false;  // connect to loopback and private addresses too
};

/// Makes the drivers of every kind but webhooks, which the gateway serves. What is passed in must
/// outlive them.
DriverFactory MakeDrivers(EventLoop& loop, broker::Broker& broker, SecretClient& secrets,
                          DriverSettings settings);

}  // namespace dispatch
