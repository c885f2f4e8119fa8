#include "event-manager/src/domain/drivers/driver_container.h"

#include <gtest/gtest.h>

namespace dispatch::driver_container_test {
namespace {

TEST(DriverContainerSpec, ConfinesWhatItRuns) {
  DriverContainer container{.image = "registry/weather:1",
                            .owner = "me",
                            .driver = *Uuid::Parse("00000000-0000-0000-0000-000000000001"),
                            .org = "acme",
                            .name = "w1",
                            .arguments = {"--units=metric"},
                            .environment = {"API_TOKEN=x"}};
  EXPECT_EQ(json::Serialize(DriverContainerSpec(container)),
            R"({"Image":"registry/weather:1","Cmd":["--units=metric"],"Env":["API_TOKEN=x"],)"
            R"("Labels":{"io.dispatch.owner":"me",)"
            R"("io.dispatch.driver":"00000000-0000-0000-0000-000000000001",)"
            R"("io.dispatch.name":"acme/w1"},"AttachStdout":true,"AttachStderr":true,)"
            R"("HostConfig":{"Memory":1140850688,"MemorySwap":1140850688,"NanoCpus":1000000000,)"
            R"("PidsLimit":512,"ReadonlyRootfs":true,"CapDrop":["ALL"],)"
            R"("SecurityOpt":["no-new-privileges"],"NetworkMode":"bridge",)"
            R"("Tmpfs":{"/tmp":"rw,nosuid,nodev,mode=1777,size=67108864"},)"
            R"("Ulimits":[{"Name":"nofile","Soft":1024,"Hard":1024},)"
            R"({"Name":"core","Soft":0,"Hard":0}],"LogConfig":{"Type":"none"},)"
            R"("RestartPolicy":{"Name":"no"}}})");
}

}  // namespace
}  // namespace dispatch::driver_container_test
