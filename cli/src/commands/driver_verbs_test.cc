#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/testing/fake_machine.h"

namespace dispatch::cli::driver_verbs_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class DriverVerbs : public ::testing::Test {
 protected:
  DriverVerbs() {
    m.variables["DISPATCH_HOST"] = "127.0.0.1";
    m.variables["DISPATCH_TOKEN"] = "key";
  }
  std::string Sent(size_t i = 0) const {
    if (i >= m.requests.size()) return "(nothing)";
    const auto& r = m.requests[i];
    return r.method + " " + r.path + (r.body.empty() ? "" : " " + r.body);
  }
  testing::FakeMachine m;
};

TEST_F(DriverVerbs, CreateAsVMwaresDoes) {
  m.Answer(201, R"({"name": "tick"})");
  ASSERT_EQ(m.Run({"create", "eventdrivertype", "tick", "kars7e/timer:latest", "--expose"}), 0)
      << m.err;
  EXPECT_EQ(m.out, "Created event driver type: tick\n");
  EXPECT_EQ(
      Sent(),
      R"(POST /v1/event/drivertypes {"name":"tick","image":"kars7e/timer:latest","expose":true})");
  m.Answer(201, R"({"name": "t1"})");
  ASSERT_EQ(m.Run({"create", "eventdriver", "tick", "--name", "t1", "-s", "seconds=2", "--set",
                   "quiet", "--secret", "a", "--secret", "b"}),
            0)
      << m.err;
  EXPECT_EQ(m.out, "Created event driver: t1\n");
  EXPECT_EQ(Sent(1),
            R"(POST /v1/event/drivers {"name":"t1","type":"tick","config":[{"key":"seconds",)"
            R"("value":"2"},{"key":"quiet","value":""}],"secrets":["a","b"]})");
}

TEST_F(DriverVerbs, ADriverWithoutANameGetsOne) {
  m.Answer(201, R"({"name": "x"})");
  ASSERT_EQ(m.Run({"create", "eventdriver", "ticker"}), 0) << m.err;
  EXPECT_THAT(Sent(), ContainsRegex(R"("name":"[a-z]+-[a-z]+-[0-9]{6}","type":"ticker")"));
}

TEST_F(DriverVerbs, AWebhooksAddressIsToldWhenItIsMade) {
  m.Answer(201, R"({"name": "w", "url": "/v1/event/ingest/o/w?token=T", "token": "T"})");
  ASSERT_EQ(m.Run({"create", "eventdriver", "webhook", "--name", "w"}), 0) << m.err;
  EXPECT_EQ(m.out, "Created event driver: w\nEvents are taken at /v1/event/ingest/o/w?token=T\n");
}

TEST_F(DriverVerbs, UpdateChangesEntriesOfTheConfig) {
  m.Answer(200, R"({"name": "t1", "type": "ticker", "revision": 4, "status": "READY",
                    "created-time": 1, "config": [{"key": "seconds", "value": "2"},
                                                  {"key": "topic", "value": "a"}]})");
  m.Answer(200, R"({"name": "t1"})");
  ASSERT_EQ(m.Run({"update", "eventdriver", "t1", "--set", "seconds=5"}), 0) << m.err;
  EXPECT_EQ(m.out, "Updated event driver: t1\n");
  EXPECT_EQ(Sent(1),
            R"(PUT /v1/event/drivers/t1 {"name":"t1","type":"ticker","config":[{"key":"topic",)"
            R"("value":"a"},{"key":"seconds","value":"5"}]})");
}

TEST_F(DriverVerbs, DeleteAndGetAsVMwaresDo) {
  m.Answer(200, R"({"name": "t1"})");
  m.Answer(200, R"({"name": "tick"})");
  ASSERT_EQ(m.Run({"delete", "eventdriver", "t1"}), 0) << m.err;
  EXPECT_EQ(m.out, "Deleted drivers: t1\n");
  ASSERT_EQ(m.Run({"delete", "eventdrivertypes", "tick"}), 0) << m.err;
  EXPECT_EQ(m.out, "Deleted driver types: tick\n");
  m.Answer(200, R"([{"name": "t1", "type": "ticker", "status": "ERROR", "secrets": ["a", "b"],
                     "config": [{"key": "seconds", "value": "2"}], "url": "",
                     "reason": ["it broke"]}])");
  ASSERT_EQ(m.Run({"get", "eventdrivers"}), 0) << m.err;
  EXPECT_THAT(m.out, HasSubstr("NAME"));
  EXPECT_THAT(m.out, ContainsRegex("t1 +ticker +ERROR +a,b +seconds=2 +-? +it broke"));
}

TEST_F(DriverVerbs, DocumentsHaveVMwaresKinds) {
  m.Write("d.yaml",
          "kind: DriverType\nname: tick\nimage: builtin/ticker\n---\n"
          "kind: Driver\nname: t1\ntype: tick\n");
  m.Answer(201, R"({"name": "tick"})");
  m.Answer(201, R"({"name": "t1"})");
  ASSERT_EQ(m.Run({"create", "-f", m.directory / "d.yaml"}), 0) << m.err;
  EXPECT_EQ(m.out, "Created DriverType: tick\nCreated Driver: t1\n");
}

}  // namespace
}  // namespace dispatch::cli::driver_verbs_test
