#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/uuid.h"

/// What an OCI engine is told of a driver, in Docker's API (decision 0023).
namespace dispatch {

/// The label that names whose driver a container is, by its id.
inline constexpr char kDriverLabel[] = "io.dispatch.driver";
/// The port of 127.0.0.1, in the container, at which its events are taken: VMware's sidecar's.
inline constexpr uint16_t kDriverPort = 8080;

struct DriverContainer {
  std::string image;  // a reference
  std::string owner;  // the process that runs it
  Uuid driver;
  std::string org;
  std::string name;
  std::vector<std::string> arguments;    // behind the image's entry point
  std::vector<std::string> environment;  // NAME=value
};

/// The body that creates it: with the engine's bridge for a network, the limits of executables, and
/// nothing to be written but a /tmp.
json::object DriverContainerSpec(const DriverContainer& of);

}  // namespace dispatch
