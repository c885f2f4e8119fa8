#include "function-manager/src/domain/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "function-manager/src/domain/function_answer.h"
#include "function-manager/src/domain/run.h"

namespace dispatch::container_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FunctionVersion Version() {
  FunctionVersion version;
  version.id = *Uuid::Parse("00000000-0000-0000-0000-000000000001");
  version.org = "acme";
  version.name = "hello";
  version.language = "container";
  version.image = "registry/hello:1";
  version.source = "/functions/sources/abc";
  version.handler = "hello.handle";
  return version;
}

TEST(ContainerSpec, ConfinesWhatItRuns) {
  json::object spec = ContainerSpec(Version(), "me");
  EXPECT_EQ(json::Serialize(spec),
            R"({"Image":"registry/hello:1","Env":["PORT=8080","SERVERS=1","HANDLER=hello.handle",)"
            R"("HOME=/tmp","TMPDIR=/tmp"],"Labels":{"io.dispatch.owner":"me",)"
            R"("io.dispatch.function":"acme/hello",)"
            R"("io.dispatch.version":"00000000-0000-0000-0000-000000000001"},)"
            R"("AttachStdout":true,"AttachStderr":true,"HostConfig":{"Memory":335544320,)"
            R"("MemorySwap":335544320,"NanoCpus":1000000000,"PidsLimit":64,"ReadonlyRootfs":true,)"
            R"("CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"],"NetworkMode":"none",)"
            R"("Tmpfs":{"/tmp":"rw,nosuid,nodev,mode=1777,size=67108864"},)"
            R"("Ulimits":[{"Name":"nofile","Soft":1024,"Hard":1024},)"
            R"({"Name":"core","Soft":0,"Hard":0}],"LogConfig":{"Type":"none"},)"
            R"("RestartPolicy":{"Name":"no"},"Binds":["/functions/sources/abc:/function:ro"]}})");
}

TEST(ContainerSpec, HasANetworkOnlyWhenAsked) {
  FunctionVersion version = Version();
  version.network = true;
  auto spec = ContainerSpec(version, "me");
  EXPECT_EQ(spec.at("HostConfig").at("NetworkMode").as_string(), "bridge");
}

TEST(FunctionAnswer, IsReadWithItsLogs) {
  auto answer = ReadFunctionAnswer(
      R"({"context":{"error":null,"logs":{"stdout":["a"],"stderr":null}},"payload":{"n":1}})",
      "it");
  EXPECT_FALSE(answer.outcome.error);
  EXPECT_TRUE(answer.has_logs);
  EXPECT_THAT(answer.outcome.out, ElementsAre("a"));
  EXPECT_EQ(json::Serialize(answer.outcome.payload), R"({"n":1})");
  EXPECT_FALSE(ReadFunctionAnswer(R"({"payload":1})", "it").has_logs);
}

TEST(FunctionAnswer, ASystemErrorIsNotTheFunctionsToSay) {
  auto answer = ReadFunctionAnswer(
      R"({"context":{"error":{"type":"SystemError","message":"m","stacktrace":["s"]}}})", "it");
  ASSERT_TRUE(answer.outcome.error);
  EXPECT_EQ(answer.outcome.error->type, kFunctionError);
  EXPECT_THAT(answer.outcome.error->stacktrace, ElementsAre("s"));
  auto nothing = ReadFunctionAnswer("[]", "the container");
  ASSERT_TRUE(nothing.outcome.error);
  EXPECT_EQ(nothing.outcome.error->type, kSystemError);
  EXPECT_THAT(nothing.outcome.error->message, HasSubstr("the container answered what is not"));
}

}  // namespace
}  // namespace dispatch::container_test
