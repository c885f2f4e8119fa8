#include "cli/src/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/src/testing/fake_machine.h"
#include "common/crypto.h"
#include "common/jwt/signing_key.h"
#include "common/jwt/token.h"

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
  ASSERT_EQ(m.Run({"context", "set", "a"}), 0);  // VMware's word for use
  ASSERT_EQ(m.Run({"context", "current"}), 0);
  EXPECT_EQ(m.out, "a\n");
  ASSERT_EQ(m.Run({"context", "use", "b"}), 0);
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

constexpr char kPrivateKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

json::object ClaimsOf(const std::string& token) {
  auto read = jwt::Token::Parse(token);
  if (!read.ok()) return {{"fault", read.message()}};
  jwt::KeySet keys;
  EXPECT_TRUE(keys.AddPem(jwt::SigningKey::FromPem(kPrivateKey)->PublicPem()).ok());
  EXPECT_TRUE(read->Check(keys, {}, FromMillis(1'800'000'000'000)).ok());
  return read->claims();
}

TEST_F(Connecting, AServiceAccountSignsWithVmwaresClaims) {
  machine_.Write("ci.key", kPrivateKey);
  const std::string file = machine_.directory / "ci.key";
  auto claims = [&](std::vector<std::string> words) {
    for (const char* word : {"--host", "h", "--jwt-private-key"}) words.emplace_back(word);
    words.push_back(file);
    auto connection = Resolve(words);
    EXPECT_TRUE(connection.ok()) << connection.message();
    return ClaimsOf(connection.ok() ? connection->token : "");
  };
  const json::object expected{{"iss", "acme/ci"}, {"iat", 1'799'999'940}, {"exp", 1'800'003'600}};
  EXPECT_EQ(claims({"--service-account", "ci", "--organization", "acme"}), expected);
  EXPECT_EQ(claims({"--service-account", "acme/ci", "--organization", "other"}), expected);
  EXPECT_EQ(Resolve({"--host", "h", "--service-account", "ci", "--token", "k"})->token, "k");
  auto fault = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--host", "h", "--service-account"});
    return Resolve(words).message();
  };
  EXPECT_THAT(fault({"acme/ci"}), HasSubstr("--jwt-private-key"));
  EXPECT_THAT(fault({"ci", "--jwt-private-key", file}), HasSubstr("--organization"));
  machine_.Write("bad.key", "x");
  EXPECT_THAT(fault({"acme/ci", "--jwt-private-key", machine_.directory / "bad.key"}),
              HasSubstr("private key in PEM"));
}

TEST_F(Connecting, BootstrapMakesAnAccountThatTheContextUses) {
  auto& m = machine_;
  m.variables["DISPATCH_HOST"] = "h.example";
  m.variables["DISPATCH_TOKEN"] = "admin";
  m.Answer(201, R"({"name": "acme"})");
  m.Answer(409, R"({"code": 409, "message": "it exists"})");
  m.Answer(200, R"({"name": "ci"})");
  m.Answer(201, R"({"name": "bootstrap"})");
  ASSERT_EQ(m.Run({"manage", "bootstrap", "--bootstrap-org", "acme", "--bootstrap-svc-account",
                   "ci", "--bootstrap-user", "key:ops"}),
            0)
      << m.err;
  EXPECT_EQ(m.out,
            "Created organization: acme\nKept serviceaccount: ci\nCreated policy: bootstrap\n"
            "Using context: acme\n");
  ASSERT_EQ(m.requests.size(), 4u);
  EXPECT_EQ(m.requests[0].body, R"({"name":"acme"})");
  EXPECT_EQ(m.requests[2].method + " " + m.requests[2].path, "PUT /v1/iam/serviceaccount/ci");
  EXPECT_EQ(m.requests[2].headers.Get("X-Dispatch-Org"), "acme");
  EXPECT_EQ(m.requests[3].body, R"({"name":"bootstrap","rules":[{"subjects":["acme/ci","key:ops"],)"
                                R"("actions":["*"],"resources":["*"]}]})");
  // The key that the server was given is of the one that the context has.
  m.variables.clear();
  m.variables["HOME"] = m.directory / "home";
  auto connection = Resolve();
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(connection->host, "h.example");
  EXPECT_EQ(connection->organization, "acme");
  struct stat info{};
  ASSERT_EQ(stat(connection->private_key.c_str(), &info), 0) << connection->private_key;
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  jwt::KeySet keys;
  auto body = json::ParseObject(m.requests[2].body);
  auto pem = crypto::Base64Decode(json::GetString(*body, "publicKey"));
  ASSERT_TRUE(keys.AddPem(*pem).ok());
  auto token = jwt::Token::Parse(connection->token);
  EXPECT_EQ(token->claims().at("iss"), "acme/ci");
  EXPECT_TRUE(token->Check(keys, {}, FromMillis(1'800'000'000'000)).ok());

  m.Answer(403, R"({"code": 403, "message": "only a key"})");
  EXPECT_EQ(m.Run({"manage", "bootstrap", "--bootstrap-org", "other"}), 1);
  EXPECT_EQ(m.Run({"manage", "else"}), 2);
}

TEST_F(Connecting, ContextsKeepServiceAccountsAsVmwaresDo) {
  auto& m = machine_;
  m.Write("work/deep/ci.key", kPrivateKey);
  ASSERT_EQ(m.Run({"login", "--host", "h.example", "--service-account", "acme/ci",
                   "--jwt-private-key", "ci.key", "--project", "p"}),
            0)
      << m.err;
  auto text = ReadFile(m.directory / "home/.dispatch/config.json");
  EXPECT_THAT(*text, HasSubstr(R"("serviceaccount": "acme/ci")"));
  EXPECT_THAT(*text, HasSubstr("\"jwtprivatekey\": \"" +
                               (m.directory / "work/deep/ci.key").string() + "\""));
  EXPECT_THAT(*text, Not(HasSubstr("\"token\"")));
  auto connection = Resolve();
  ASSERT_TRUE(connection.ok()) << connection.message();
  EXPECT_EQ(ClaimsOf(connection->token)["iss"], "acme/ci");
  EXPECT_EQ(connection->project, "p");
  EXPECT_EQ(Resolve({"--host", "evil.example"})->token, "");
  m.variables["DISPATCH_SERVICE_ACCOUNT"] = "acme/other";
  EXPECT_EQ(ClaimsOf(Resolve()->token)["iss"], "acme/other");
  m.variables.erase("DISPATCH_SERVICE_ACCOUNT");
  // A key takes its place, and logout forgets both.
  ASSERT_EQ(m.Run({"login", "--token", "k"}), 0) << m.err;
  EXPECT_EQ(Resolve()->token, "k");
  ASSERT_EQ(m.Run({"context", "set", "default", "--service-account", "acme/ci", "--jwt-private-key",
                   "ci.key"}),
            0)
      << m.err;
  EXPECT_EQ(ClaimsOf(Resolve()->token)["iss"], "acme/ci");
  ASSERT_EQ(m.Run({"logout"}), 0);
  EXPECT_EQ(Resolve()->token, "");
}

}  // namespace
}  // namespace dispatch::cli::connection_test
