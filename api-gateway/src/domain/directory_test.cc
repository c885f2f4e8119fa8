#include "api-gateway/src/domain/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto.h"
#include "common/jwt/signing_key.h"
#include "common/testing/simulated_loop.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway::directory_test {

using ::testing::HasSubstr;

class DirectoryTest : public ::testing::Test {
 protected:
  void Put(const std::string& kind, const std::string& org, const std::string& name,
           const std::string& document) {
    auto entity = std::make_shared<broker::Entity>();
    entity->kind = kind;
    entity->org = org;
    entity->name = name;
    entity->document = json::ParseObject(document).value();
    directory_.OnChanged(kind, org + "/" + name, entity);
  }

  // `more` goes into the document.
  void PutKey(const std::string& org, const auth::KeyText& key, const std::string& more) {
    Put("apikey", org, key.id,
        R"({"id":")" + key.id + R"(","name":"ci","internal":{"hmac":")" +
            auth::HashSecret(kServiceKey, key.secret) + "\"}," + more + "}");
  }

  Result<std::shared_ptr<const Principal>> Ask(const auth::KeyText& key) {
    header_ = "bearer " + key.ToString();
    return directory_.Authenticate(header_);
  }

  const std::string kServiceKey = std::string(32, 'k');
  testing::SimulatedLoop loop_;
  Directory directory_{loop_, kServiceKey};
  auth::KeyText key_ = auth::KeyText::Random();
  std::string header_;
};

const char kActive[] = R"("status":"ACTIVE","scopes":["publish:topic/orders"])";

TEST_F(DirectoryTest, AKeyIsAPrincipal) {
  PutKey("acme", key_, kActive);
  for (int i = 0; i < 2; ++i) {
    auto principal = Ask(key_);
    ASSERT_TRUE(principal.ok()) << principal.message();
    EXPECT_EQ((*principal)->org, "acme");
    EXPECT_EQ((*principal)->key_id, key_.id);
    EXPECT_TRUE((*principal)->permissions.Allows("publish", "topic/orders"));
    EXPECT_FALSE((*principal)->permissions.Allows("read", "topic/orders"));
    EXPECT_FALSE((*principal)->global);
  }
}

TEST_F(DirectoryTest, OtherCredentialsAreNone) {
  PutKey("acme", key_, kActive);
  EXPECT_EQ(directory_.Authenticate(std::nullopt).code(), Code::kUnauthenticated);
  EXPECT_EQ(directory_.Authenticate("Basic " + key_.ToString()).code(), Code::kUnauthenticated);
  EXPECT_EQ(directory_.Authenticate("Bearer ").code(), Code::kUnauthenticated);
  EXPECT_EQ(directory_.Authenticate(key_.ToString()).code(), Code::kUnauthenticated);
  auto unknown = Ask(auth::KeyText::Random());
  auto wrong = Ask({key_.id, auth::KeyText::Random().secret});
  EXPECT_EQ(unknown.code(), Code::kUnauthenticated);
  EXPECT_EQ(wrong.code(), Code::kUnauthenticated);
  EXPECT_EQ(unknown.message(), wrong.message());
  // Also after the right secret was remembered.
  EXPECT_TRUE(Ask(key_).ok());
  EXPECT_FALSE(Ask({key_.id, auth::KeyText::Random().secret}).ok());
}

TEST_F(DirectoryTest, RevokedDeletedAndExpiredKeysStop) {
  PutKey("acme", key_, kActive);
  EXPECT_TRUE(Ask(key_).ok());
  PutKey("acme", key_, R"("status":"REVOKED","scopes":["publish"])");
  EXPECT_THAT(Ask(key_).message(), HasSubstr("revoked"));
  directory_.OnChanged("apikey", "acme/" + key_.id, nullptr);
  EXPECT_THAT(Ask(key_).message(), HasSubstr("not known"));

  auto expires = schema::FormatRfc3339(loop_.Now() + std::chrono::seconds(10));
  PutKey("acme", key_, R"("status":"ACTIVE","scopes":[],"expiresAt":")" + expires + "\"");
  EXPECT_TRUE(Ask(key_).ok());
  loop_.RunFor(std::chrono::seconds(11));
  EXPECT_THAT(Ask(key_).message(), HasSubstr("expired"));
  PutKey("acme", key_, R"("status":"ACTIVE","scopes":[],"expiresAt":"soon")");
  EXPECT_THAT(Ask(key_).message(), HasSubstr("expired"));
}

TEST_F(DirectoryTest, AForgedRecordWithoutHashGivesNothing) {
  Put("apikey", "acme", key_.id, R"({"status":"ACTIVE","scopes":["admin"]})");
  EXPECT_FALSE(Ask(key_).ok());
}

TEST_F(DirectoryTest, GlobalNeedsTheAdminScope) {
  auto global = [this] { return (*Ask(key_))->global; };
  PutKey("default", key_, R"("status":"ACTIVE","scopes":["admin"],"global":true)");
  EXPECT_TRUE(global());
  PutKey("default", key_, R"("status":"ACTIVE","scopes":["read"],"global":true)");
  EXPECT_FALSE(global());
  PutKey("default", key_, R"("status":"ACTIVE","scopes":["admin"])");
  EXPECT_FALSE(global());
}

TEST_F(DirectoryTest, PoliciesAddAndGo) {
  PutKey("acme", key_, kActive);
  auto may_read = [this] { return (*Ask(key_))->permissions.Allows("read", "topic/a"); };
  const std::string rules =
      R"("rules":[{"subjects":["key:ci"],"actions":["read"],"resources":["topic/*"]}])";
  EXPECT_FALSE(may_read());
  Put("policy", "acme", "p", "{" + rules + "}");
  EXPECT_TRUE(may_read());
  directory_.OnChanged("policy", "acme/p", nullptr);
  EXPECT_FALSE(may_read());
  Put("policy", "other", "p", "{" + rules + "}");
  EXPECT_FALSE(may_read());
  Put("policy", "other", "p", "{\"global\":true," + rules + "}");
  EXPECT_TRUE(may_read());
}

class AccountTest : public DirectoryTest {
 protected:
  void PutAccount(const std::string& org, const std::string& name, const std::string& more = "") {
    Put("serviceaccount", org, name,
        R"({"publicKey":")" + crypto::Base64Encode(signer_.PublicPem()) + "\"" + more + "}");
  }
  // The claims of VMware's command, with others in their place.
  Result<std::shared_ptr<const Principal>> Show(const json::object& more) {
    int64_t now = ToMillis(loop_.Now()) / 1000;
    json::object claims{{"iss", "acme/ci"}, {"iat", now - 60}, {"exp", now + 3600}};
    for (const auto& [name, value] : more) claims[name] = value;
    header_ = "Bearer " + *signer_.Sign(claims);
    return directory_.Authenticate(header_);
  }

  jwt::SigningKey signer_ = jwt::SigningKey::Random();
};

TEST_F(AccountTest, ATokenOfAServiceAccountIsAPrincipal) {
  PutAccount("acme", "ci");
  auto principal = Show({});
  ASSERT_TRUE(principal.ok()) << principal.message();
  EXPECT_EQ((*principal)->kind, "serviceaccount");
  EXPECT_EQ((*principal)->org, "acme");
  EXPECT_EQ((*principal)->key_id, "ci");
  EXPECT_FALSE((*principal)->global);
  EXPECT_FALSE((*principal)->permissions.Allows("read", "topic/a"));
  auto unknown = Show({{"iss", "acme/other"}});
  EXPECT_EQ(unknown.code(), Code::kUnauthenticated);
  PutAccount("acme", "other");
  signer_ = jwt::SigningKey::Random();
  EXPECT_EQ(Show({}).message(), unknown.message());
  directory_.OnChanged("serviceaccount", "acme/ci", nullptr);
  EXPECT_FALSE(Show({}).ok());
}

TEST_F(AccountTest, TokensEndWithinADayAndAreForTheAudience) {
  PutAccount("acme", "ci");
  int64_t now = ToMillis(loop_.Now()) / 1000;
  EXPECT_TRUE(Show({{"exp", now + 24 * 3600}}).ok());
  EXPECT_THAT(Show({{"exp", now + 24 * 3600 + 120}}).message(), HasSubstr("24 hours"));
  EXPECT_THAT(Show({{"exp", now - 61}}).message(), HasSubstr("expired"));
  PutAccount("acme", "ci", R"(,"audience":"dispatch")");
  EXPECT_THAT(Show({}).message(), HasSubstr("audience"));
  EXPECT_TRUE(Show({{"aud", "dispatch"}}).ok());
  Put("serviceaccount", "acme", "ci", R"({"publicKey":"bad"})");
  EXPECT_THAT(Show({}).message(), HasSubstr("no known key"));
}

TEST_F(AccountTest, PoliciesNameAccountsOfTheirOrganisation) {
  PutAccount("acme", "ci");
  auto may = [&](const std::string& org, const std::string& subject, bool global = false) {
    Put("policy", org, "p",
        std::string(global ? R"({"global":true,)" : "{") + R"("rules":[{"subjects":[")" + subject +
            R"("],"actions":["read"],"resources":["topic/*"]}]})");
    bool allowed = (*Show({}))->permissions.Allows("read", "topic/a");
    directory_.OnChanged("policy", org + "/p", nullptr);
    return allowed;
  };
  for (const char* subject : {"ci", "serviceaccount:ci", "acme/ci", "*"}) {
    EXPECT_TRUE(may("acme", subject)) << subject;
    EXPECT_FALSE(may("other", subject)) << subject;
  }
  for (const char* subject : {"key:ci", "other/ci", "serviceaccount:*", "c"}) {
    EXPECT_FALSE(may("acme", subject)) << subject;
  }
  EXPECT_TRUE(may("other", "acme/ci", true));
  EXPECT_TRUE(may("other", "*", true));
  EXPECT_FALSE(may("other", "ci", true));
  EXPECT_FALSE((*Show({}))->permissions.Allows("read", "topic/a"));
}

}  // namespace dispatch::gateway::directory_test
