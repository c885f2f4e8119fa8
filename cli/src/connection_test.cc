#include "cli/src/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/src/testing/fake_machine.h"

namespace dispatch::cli::connection_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTwoContexts[] = R"({"current": "prod", "contexts": {
  "prod": {"host": "example.com", "port": 8443, "scheme": "https", "organization": "acme",
           "token": "secret", "cookie": "kept"},
  "dev": {"host": "10.0.0.7", "port": 80, "scheme": "http", "organization": ""}}})";

class Connecting : public ::testing::Test {
 protected:
  Result<Connection> Resolve(std::vector<std::string> words = {}) {
    auto flags = Arguments::Parse(words, ConnectionFlags());
    if (!flags.ok()) return flags.error();
    return ResolveConnection(*flags, machine_.environment());
  }
  void WriteConfig() { machine_.Write("home/.dispatch/config.json", kTwoContexts); }
  void WriteStack() {
    machine_.Write(
        "work/.dispatch/run/env",
        "# x\nexport DISPATCH_HOME=/x\nexport DISPATCH_API_URL=http://127.0.0.1:23456\n");
    machine_.Write("work/.dispatch/keys/admin.key", "local-key\n");
  }

  testing::FakeMachine machine_;
};

TEST_F(Connecting, NothingSaidIsAnErrorThatSaysWhatToDo) {
  auto connection = Resolve();
  ASSERT_FALSE(connection.ok());
  EXPECT_THAT(connection.message(), HasSubstr("dispatch up"));
}

TEST_F(Connecting, TakesTheCurrentContextOrTheOneNamed) {
  WriteConfig();
  auto connection = Resolve();
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(connection->Url(), "https://example.com:8443");
  EXPECT_EQ(connection->organization, "acme");
  EXPECT_EQ(connection->token, "secret");
  EXPECT_EQ(Resolve({"--context", "dev"})->Url(), "http://10.0.0.7:80");
  EXPECT_THAT(Resolve({"--context", "nope"}).message(), HasSubstr("no context 'nope'"));
}

TEST_F(Connecting, FlagsWinOverTheEnvironmentAndThatOverTheContext) {
  WriteConfig();
  machine_.variables["DISPATCH_PORT"] = "1234";
  machine_.variables["DISPATCH_ORGANIZATION"] = "other";
  machine_.variables["DISPATCH_TOKEN"] = "of-environment";
  auto connection = Resolve({"--port", "99", "--organization=mine"});
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(connection->Url(), "https://example.com:99");
  EXPECT_EQ(connection->organization, "mine");
  EXPECT_EQ(connection->token, "of-environment");
  EXPECT_EQ(Resolve()->port, 1234);
}

TEST_F(Connecting, AKeyIsNotSentToAnotherHost) {
  WriteConfig();
  EXPECT_EQ(Resolve({"--host", "evil.example"})->token, "");
  EXPECT_EQ(Resolve({"--host", "example.com"})->token, "secret");
  machine_.variables["DISPATCH_API_URL"] = "http://evil.example:1";
  EXPECT_EQ(Resolve()->token, "");
}

TEST_F(Connecting, TakesALocalStackAboveWhenNothingElseIsSet) {
  WriteStack();
  auto connection = Resolve();
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(connection->Url(), "http://127.0.0.1:23456");
  EXPECT_EQ(connection->token, "local-key");
  WriteConfig();
  EXPECT_EQ(Resolve()->host, "example.com");
}

TEST_F(Connecting, TakesWhatUpExports) {
  machine_.Write("key", "k\n");
  machine_.variables["DISPATCH_API_URL"] = "http://127.0.0.1:5";
  machine_.variables["DISPATCH_API_KEY_FILE"] = machine_.directory / "key";
  auto connection = Resolve();
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(connection->Url(), "http://127.0.0.1:5");
  EXPECT_EQ(connection->token, "k");
}

TEST_F(Connecting, AddressesHaveManyForms) {
  auto url = [&](const char* host) { return Resolve({"--host", host})->Url(); };
  EXPECT_EQ(url("localhost"), "http://localhost:8080");
  EXPECT_EQ(url("example.com"), "https://example.com:443");
  EXPECT_EQ(url("example.com:1"), "https://example.com:1");
  EXPECT_EQ(url("http://example.com/"), "http://example.com:80");
  EXPECT_EQ(url("[::1]:81"), "http://[::1]:81");
  EXPECT_EQ(url("::1"), "http://[::1]:8080");
  for (const char* bad : {"", "http://", "a b", "x:0", "x:99999", "http://h/path"}) {
    EXPECT_FALSE(Resolve({"--host", bad}).ok()) << bad;
  }
  EXPECT_FALSE(Resolve({"--host", "a", "--scheme", "ftp"}).ok());
}

TEST_F(Connecting, ContextsAreSetUsedShownAndDeleted) {
  auto& m = machine_;
  ASSERT_EQ(m.Run({"context", "set", "a", "--host", "http://127.0.0.1:9", "--token", "s3cret"}), 0)
      << m.err;
  std::string path = m.directory / "home/.dispatch/config.json";
  struct stat info{};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(m.Run({"context", "set", "b", "--host", "b.example", "--organization", "acme"}), 0);
  ASSERT_EQ(m.Run({"context", "list"}), 0);
  EXPECT_THAT(m.out, HasSubstr("*        a     http://127.0.0.1:9"));
  EXPECT_THAT(m.out, Not(HasSubstr("s3cret")));
  ASSERT_EQ(m.Run({"context", "use", "b"}), 0);
  ASSERT_EQ(m.Run({"context", "show"}), 0);
  EXPECT_THAT(m.out, HasSubstr("https://b.example:443"));
  ASSERT_EQ(m.Run({"context", "delete", "b"}), 0);
  EXPECT_EQ(m.Run({"context", "use", "b"}), 1);
  EXPECT_EQ(m.Run({"context", "set", "new"}), 2);
}

TEST_F(Connecting, WhatTheFileHasBesideIsKept) {
  WriteConfig();
  ASSERT_EQ(machine_.Run({"context", "set", "prod", "--organization", "x"}), 0) << machine_.err;
  auto text = ReadFile(machine_.directory / "home/.dispatch/config.json");
  EXPECT_THAT(*text, HasSubstr("\"cookie\": \"kept\""));
  EXPECT_THAT(*text, HasSubstr("\"token\": \"secret\""));
}

}  // namespace
}  // namespace dispatch::cli::connection_test
