#pragma once

#include <cstdint>
#include <string>

#include "common/json.h"
#include "function-manager/src/domain/runner.h"

/// What an OCI engine is told of a function, in Docker's API (decision 0021).
namespace dispatch {

/// The port of a function's server in its container, VMware's.
inline constexpr uint16_t kContainerPort = 8080;
/// The label that names whose container it is.
inline constexpr char kOwnerLabel[] = "io.dispatch.owner";

/// The body that creates the container of a version (`image` is a reference, `source` a directory
/// of this machine): read-only but for a /tmp, no privileges to be had, limits of memory, processor
/// and processes, no network unless the version has one; the function's source at /function.
json::object ContainerSpec(const FunctionVersion& version, const std::string& owner);

}  // namespace dispatch
