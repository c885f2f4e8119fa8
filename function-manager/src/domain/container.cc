#include "function-manager/src/domain/container.h"

#include <fmt/format.h>

#include "common/container/spec.h"

namespace dispatch {

namespace {

// Threads of the server and of its language's machine, which count as processes.
constexpr int kServerProcesses = 32;

}  // namespace

json::object ContainerSpec(const FunctionVersion& version, const std::string& owner) {
  json::object host = container::HostConfig({.memory_bytes = version.memory_bytes,
                                             .tmp_bytes = version.file_bytes,
                                             .cpu_millis = version.cpu_millis,
                                             .processes = version.processes + kServerProcesses,
                                             .network = version.network});
  if (!version.source.empty()) {
    host["Binds"] = json::array{version.source + ":/function:ro"};
  }
  return {{"Image", version.image},
          {"Env", json::array{fmt::format("PORT={}", kContainerPort), "SERVERS=1",
                              "HANDLER=" + version.handler, "HOME=/tmp", "TMPDIR=/tmp"}},
          {"Labels",
           {{container::kOwnerLabel, owner},
            {"io.dispatch.function", version.org + "/" + version.name},
            {"io.dispatch.version", version.id.ToString()}}},
          {"AttachStdout", true},
          {"AttachStderr", true},
          {"HostConfig", std::move(host)}};
}

}  // namespace dispatch
