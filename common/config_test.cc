#include "common/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace dispatch::config_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<Config::Setting> Table() {
  auto table = CommonSettings(true, "127.0.0.1:9001");
  table.push_back({.name = "workers",
                   .type = Config::Type::kInt,
                   .default_value = "4",
                   .help = "how many",
                   .min = 1,
                   .max = 8});
  table.push_back({.name = "fast", .type = Config::Type::kBool, .default_value = "false"});
  table.push_back({.name = "pause",
                   .type = Config::Type::kDuration,
                   .default_value = "250ms",
                   .min = 0,
                   .max = 60'000'000});
  return table;
}

const std::vector<const char*> kRequired = {"--service-key-file=/k",
                                            "--pg-url=postgresql://x:s3cret@h/d"};

Status Load(Config& config, std::vector<const char*> flags) {
  flags.insert(flags.begin(), "prog");
  flags.insert(flags.end(), kRequired.begin(), kRequired.end());
  return config.Load(static_cast<int>(flags.size()), flags.data());
}

class ConfigTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name :
         {"DISPATCH_WORKERS", "DISPATCH_CONFIG", "DISPATCH_PAUSE", "DISPATCH_TOKEN"}) {
      unsetenv(name);
    }
  }
  Config config_{"prog", "does things", Table()};
};

TEST_F(ConfigTest, DefaultsHoldWhenNothingIsGiven) {
  ASSERT_TRUE(Load(config_, {}).ok());
  EXPECT_EQ(config_.String("kafka-brokers"), "127.0.0.1:9092");
  EXPECT_EQ(config_.String("kafka-security-protocol"), "plaintext");
  EXPECT_EQ(config_.Int("replication-factor"), 1);
  EXPECT_EQ(config_.Int("pg-connections"), 4);
  EXPECT_EQ(config_.GetDuration("drain-timeout"), std::chrono::seconds(20));
  EXPECT_EQ(config_.String("log-format"), "text");
  EXPECT_EQ(config_.String("admin-listen"), "127.0.0.1:9001");
  EXPECT_EQ(config_.GetDuration("pause"), std::chrono::milliseconds(250));
  EXPECT_EQ(config_.String("otlp-endpoint"), "");
  EXPECT_EQ(config_.String("otlp-headers-file"), "");
  EXPECT_EQ(config_.Ratio("traces-sample-ratio"), 0);
  EXPECT_FALSE(config_.Bool("fast"));
  EXPECT_FALSE(config_.IsSet("workers"));
  EXPECT_TRUE(config_.IsSet("pg-url"));
}

TEST_F(ConfigTest, FlagsWinOverEnvironmentOverFile) {
  char path[] = "/tmp/dispatch_config_test_XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << "# comment\n\nworkers = 2\npause = 1s\nlog-format=json\n";
  setenv("DISPATCH_CONFIG", path, 1);
  setenv("DISPATCH_WORKERS", "3", 1);
  setenv("DISPATCH_TOKEN", "the CLI's, none of ours", 1);
  setenv("DISPATCH_PAUSE", "2s", 1);
  auto status = Load(config_, {"--pause", "3s", "--fast", "--traces-sample-ratio=0.25"});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(config_.Int("workers"), 3);
  EXPECT_EQ(config_.Ratio("traces-sample-ratio"), 0.25);
  EXPECT_EQ(config_.GetDuration("pause"), std::chrono::seconds(3));
  EXPECT_EQ(config_.String("log-format"), "json");
  EXPECT_TRUE(config_.Bool("fast"));
  EXPECT_TRUE(config_.IsSet("workers"));
  unlink(path);
}

TEST_F(ConfigTest, ErrorsNameTheSetting) {
  EXPECT_THAT(Load(config_, {"--worker=3"}).message(), HasSubstr("is 'workers' meant?"));
  EXPECT_THAT(Load(config_, {"--workers=9"}).message(),
              HasSubstr("setting 'workers' (command line): '9' is outside 1 to 8"));
  EXPECT_THAT(Load(config_, {"--workers=many"}).message(), HasSubstr("whole number"));
  EXPECT_THAT(Load(config_, {"--pause=2m"}).message(), HasSubstr("outside 0s to 1m"));
  EXPECT_THAT(Load(config_, {"--fast=maybe"}).message(), HasSubstr("neither true nor false"));
  EXPECT_THAT(Load(config_, {"--log-format=xml"}).message(), HasSubstr("none of text, json"));
  for (const char* ratio : {"--traces-sample-ratio=1.5", "--traces-sample-ratio=-0.1",
                            "--traces-sample-ratio=nan", "--traces-sample-ratio=10%"}) {
    EXPECT_THAT(Load(config_, {ratio}).message(), HasSubstr("is no number from 0 to 1"));
  }
  EXPECT_THAT(Load(config_, {"stray"}).message(), HasSubstr("unexpected argument 'stray'"));
  EXPECT_FALSE(Load(config_, {"--workers"}).ok());
  EXPECT_THAT(Load(config_, {"--config=/nowhere"}).message(), HasSubstr("cannot be read"));
  setenv("DISPATCH_WORKERS", "0", 1);
  Config fresh("prog", "does things", Table());
  EXPECT_THAT(Load(fresh, {}).message(), HasSubstr("DISPATCH_WORKERS"));
}

TEST_F(ConfigTest, MissingRequiredSettingsAreNamed) {
  const char* argv[] = {"prog", "--service-key-file=/k"};
  auto status = config_.Load(2, argv);
  EXPECT_THAT(status.message(),
              HasSubstr("'pg-url' is required: give --pg-url or DISPATCH_PG_URL"));
}

TEST_F(ConfigTest, HelpIsAskedForWithoutTheRequiredOnes) {
  const char* argv[] = {"prog", "--help"};
  ASSERT_TRUE(config_.Load(2, argv).ok());
  EXPECT_TRUE(config_.help_requested());
  std::string help = config_.Help();
  EXPECT_THAT(help, HasSubstr("\nKafka:\n"));
  EXPECT_THAT(help, HasSubstr("[127.0.0.1:9092]"));
  EXPECT_LT(help.find("\nSettings:\n"), help.find("\nKafka:\n"));
  for (size_t at = 0; at < help.size();) {
    size_t end = help.find('\n', at);
    EXPECT_LE(end - at, 112u) << help.substr(at, end - at);
    at = end + 1;
  }
}

TEST_F(ConfigTest, SecretsAreNeverPrinted) {
  std::vector<Config::Setting> table = {
      {.name = "pin", .type = Config::Type::kInt, .default_value = "4711", .secret = true}};
  Config config("prog", "", table);
  const char* argv[] = {"prog", "--pin=hunter2"};
  EXPECT_THAT(config.Load(2, argv).message(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(config.Help(), Not(HasSubstr("4711")));
}

TEST(Duration, ParsesAndFormats) {
  using namespace std::chrono_literals;
  for (const char* text : {"100us", "250ms", "30s", "5m", "2h", "7d"}) {
    auto parsed = ParseDuration(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(FormatDuration(*parsed), text);
  }
  EXPECT_EQ(*ParseDuration("90m"), 90min);
  EXPECT_EQ(FormatDuration(0us), "0s");
  for (const char* text : {"", "5", "s", "-1s", "1.5s", "5 s", "1w", "99999999999999999999s",
                           "9223372036854775807d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

}  // namespace
}  // namespace dispatch::config_test
