#include "event-manager/src/domain/drivers/driver_container.h"

#include "common/container/spec.h"
#include "event-manager/src/domain/drivers/driver_limits.h"

namespace dispatch {

namespace {

json::array Texts(const std::vector<std::string>& texts) {
  json::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

}  // namespace

json::object DriverContainerSpec(const DriverContainer& of) {
  return {{"Image", of.image},
          {"Cmd", Texts(of.arguments)},
          {"Env", Texts(of.environment)},
          {"Labels",
           {{container::kOwnerLabel, of.owner},
            {kDriverLabel, of.driver.ToString()},
            {"io.dispatch.name", of.org + "/" + of.name}}},
          {"AttachStdout", true},
          {"AttachStderr", true},
          {"HostConfig", container::HostConfig({.memory_bytes = kDriverMemoryBytes,
                                                .tmp_bytes = kDriverTmpBytes,
                                                .cpu_millis = kDriverCpuMillis,
                                                .processes = kDriverProcesses,
                                                .network = true})}};
}

}  // namespace dispatch
