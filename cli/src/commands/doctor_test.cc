#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/testing/fake_machine.h"
#include "common/version.h"

namespace dispatch::cli::doctor_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Doctor : ::testing::Test {
  Doctor() {
    m.variables["DISPATCH_API_URL"] = "http://127.0.0.1:8080";
    m.variables["DISPATCH_TOKEN"] = "dsp_key";
  }
  // A report with these findings, of a gateway whose clock is `ahead_ms` ahead.
  void Report(const std::string& findings, int64_t ahead_ms = 0,
              const std::string& version = BuildText()) {
    m.Answer(200, fmt::format(R"({{"timeMs": {}, "services": [{{"name": "api-gateway",
        "reached": true, "version": "{}"}}], "findings": [{}]}})",
                              ToMillis(SystemClock().Now()) + ahead_ms, version, findings));
  }
  static std::string Finding(const std::string& level) {
    return R"({"service": "event-manager", "check": "kafka.x", "level": ")" + level +
           R"(", "text": "so it is", "remedy": "do that"})";
  }
  testing::FakeMachine m;
};

TEST_F(Doctor, ExitCodeIsTheWorstFinding) {
  Report(Finding("ok"));
  EXPECT_EQ(m.Run({"doctor"}), 0) << m.err;
  EXPECT_THAT(m.out, HasSubstr("0 failures, 0 warnings, 4 checks are good"));
  EXPECT_THAT(m.out, Not(HasSubstr("kafka.x")));
  Report(Finding("ok") + "," + Finding("warning"));
  EXPECT_EQ(m.Run({"doctor"}), 1);
  EXPECT_THAT(m.out, HasSubstr("WARNING  event-manager  kafka.x: so it is\n         -> do that\n"));
  Report(Finding("warning") + "," + Finding("failure"));
  EXPECT_EQ(m.Run({"doctor", "--all"}), 2);
  EXPECT_LT(m.out.find("FAILURE"), m.out.find("WARNING"));
  EXPECT_THAT(m.out, HasSubstr("ok       command line  gateway.reached"));
}

TEST_F(Doctor, OtherVersionsAndClocksAreTold) {
  Report("", 3'000);
  EXPECT_EQ(m.Run({"doctor"}), 1);
  EXPECT_THAT(m.out, HasSubstr("cli.clock: the clock of the gateway is"));
  Report("", 0, "9.9.9");
  EXPECT_EQ(m.Run({"doctor"}), 1);
  EXPECT_THAT(m.out, HasSubstr("the gateway 9.9.9"));
}

TEST_F(Doctor, AGatewayThatDoesNotAnswerIsAFailure) {
  m.Answer(503, R"({"code": 503, "message": "the gateway waits for Kafka"})");
  EXPECT_EQ(m.Run({"doctor", "-o", "json"}), 2);
  EXPECT_THAT(m.out, HasSubstr(R"("check": "gateway.reached")"));
  EXPECT_THAT(m.out, HasSubstr("the gateway waits for Kafka"));
  EXPECT_EQ(m.Run({"doctor", "surplus"}), 2);
}

}  // namespace
}  // namespace dispatch::cli::doctor_test
