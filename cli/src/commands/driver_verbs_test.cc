#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/testing/verbs_test_base.h"

namespace dispatch::cli::driver_verbs_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class DriverVerbs : public testing::VerbsTest {};

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

TEST_F(DriverVerbs, ATokenIsRotated) {
  m.Answer(200, R"({"name": "w", "url": "/v1/event/ingest/o/w?token=N", "token": "N",
                    "previousTokenUntil": "2027-01-15T09:00:00Z"})");
  ASSERT_EQ(m.Run({"rotate-token", "w", "--overlap", "1h"}), 0) << m.err;
  EXPECT_EQ(Sent(), R"(POST /v1/event/drivers/w/rotate-token {"overlap":"1h"})");
  EXPECT_EQ(m.out,
            "Events are taken at /v1/event/ingest/o/w?token=N\n"
            "The address before counts until 2027-01-15T09:00:00Z\n");
  EXPECT_EQ(m.Run({"rotate-token", "w", "--overlap", "soon"}), 2);
  EXPECT_EQ(m.Run({"rotate-token"}), 2);
  m.Answer(409, R"({"code": 409, "message": "driver 't' has no token: it is no webhook"})");
  EXPECT_EQ(m.Run({"rotate-token", "t"}), 1);
}

TEST_F(DriverVerbs, ALogIsShownAndFollowed) {
  auto line = [](const char* time, const char* stream, const char* text) {
    return fmt::format(R"({{"time": "2027-01-15T08:00:{}Z", "stream": "{}", "line": "{}"}})", time,
                       stream, text);
  };
  m.Answer(200,
           "[" + line("01.000", "stdout", "one") + "," + line("01.000", "stderr", "two") + "]");
  ASSERT_EQ(m.Run({"log", "driver", "d", "--last", "5"}), 0) << m.err;
  EXPECT_THAT(Sent(), HasSubstr("GET /v1/event/drivers/d/logs"));
  EXPECT_THAT(m.requests[0].query, ::testing::ElementsAre(::testing::Pair("limit", "5")));
  EXPECT_EQ(m.out, "2027-01-15T08:00:01.000Z one\n");
  EXPECT_EQ(m.err, "2027-01-15T08:00:01.000Z two\n");
  // What comes again with the next look is shown once, the same words at the same time twice.
  m.Answer(200, "[" + line("01.000", "stdout", "a") + "," + line("02.000", "stdout", "b") + "]");
  m.Answer(200, "[" + line("02.000", "stdout", "b") + "," + line("02.000", "stdout", "b") + "," +
                    line("03.000", "stdout", "c") + "]");
  m.Answer(503, R"({"code": 503, "message": "away"})");
  EXPECT_EQ(m.Run({"log", "driver", "d", "-f"}), 1);
  EXPECT_EQ(m.out,
            "2027-01-15T08:00:01.000Z a\n2027-01-15T08:00:02.000Z b\n"
            "2027-01-15T08:00:02.000Z b\n2027-01-15T08:00:03.000Z c\n");
  EXPECT_THAT(m.requests[2].query,
              ::testing::ElementsAre(::testing::Pair("limit", "1000"),
                                     ::testing::Pair("since", "2027-01-15T08:00:02.000Z")));
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
