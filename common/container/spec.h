#pragma once

#include <cstdint>
#include <string>

#include "common/json.h"
#include "common/result.h"

/// What an OCI engine is told, in Docker's API, whatever runs in the container.
namespace dispatch::container {

/// The label that names whose container it is.
inline constexpr char kOwnerLabel[] = "io.dispatch.owner";

/// kUnprocessable unless it is a reference of an image: registry/name:tag, name@sha256:...
Status CheckImageReference(const std::string& reference);

/// What a container may take. There is no swap.
struct Limits {
  int64_t memory_bytes = 0;
  int64_t tmp_bytes = 0;  // of its /tmp, beside its memory
  int64_t cpu_millis = 0;
  int64_t processes = 0;
  bool network = false;  // the engine's `bridge`, else none
};

/// `HostConfig` of the body that creates a container: read-only but for a /tmp, no capabilities, no
/// privileges to be had, limits, no log driver (its output is attached to), never restarted.
json::object HostConfig(const Limits& limits);

}  // namespace dispatch::container
