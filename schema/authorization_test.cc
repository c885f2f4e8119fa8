#include "schema/authorization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto.h"

namespace dispatch::auth::authorization_test {

using ::testing::HasSubstr;

Grant Scope(std::string_view text) {
  auto grant = ParseScope(json::Parse(text).value());
  EXPECT_TRUE(grant.ok()) << text << ": " << grant.message();
  return grant.ok() ? *grant : Grant{};
}

std::string Fault(std::string_view text) {
  return ParseScopes(json::Parse(text).value()).message();
}

TEST(AuthorizationTest, KeyTextRoundTrip) {
  KeyText key = KeyText::Random();
  EXPECT_EQ(key.ToString().size(), 4u + 12 + 1 + 32);
  auto parsed = KeyText::Parse(key.ToString());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->id, key.id);
  EXPECT_EQ(parsed->secret, key.secret);
  std::string text = key.ToString();
  for (std::string bad : {std::string(), text.substr(1), text + "x", "abc_" + text.substr(4),
                          text.substr(0, 20) + "-" + text.substr(21), std::string(49, '_')}) {
    EXPECT_EQ(KeyText::Parse(bad).code(), Code::kUnauthenticated) << bad;
  }
}

TEST(AuthorizationTest, SecretsAreHashedUnderADerivedKey) {
  std::string service_key(32, 'k');
  std::string hash = HashSecret(service_key, "secret");
  std::string derived = crypto::HmacSha256(service_key, "dispatch api keys v1");
  EXPECT_EQ(hash, crypto::HexEncode(crypto::HmacSha256(derived, "secret")));
  EXPECT_TRUE(SecretMatches(service_key, "secret", hash));
  EXPECT_FALSE(SecretMatches(service_key, "Secret", hash));
  EXPECT_FALSE(SecretMatches(std::string(32, 'x'), "secret", hash));
  EXPECT_FALSE(SecretMatches(service_key, "secret", ""));
}

TEST(AuthorizationTest, ScopesNameActionsAndResources) {
  Grant grant =
      Scope(R"({"actions":["publish","read"],"resources":["topic/orders*","topic/one"]})");
  EXPECT_TRUE(grant.Allows("publish", "topic/orders.eu"));
  EXPECT_TRUE(grant.Allows("read", "topic/one"));
  EXPECT_FALSE(grant.Allows("read", "topic/one2"));
  EXPECT_FALSE(grant.Allows("write", "topic/one"));
  EXPECT_FALSE(grant.Allows("publish", "subscription/orders"));
  EXPECT_TRUE(grant.AllowsSome("read", "topic"));
  EXPECT_FALSE(grant.AllowsSome("read", "top"));
  EXPECT_FALSE(grant.AllowsSome("read", "subscription"));
  EXPECT_FALSE(grant.AllowsSome("write", "topic"));
}

TEST(AuthorizationTest, ShortForms) {
  EXPECT_TRUE(Scope("\"admin\"").Allows("publish", "topic/x"));
  EXPECT_TRUE(Scope("\"*\"").Allows("admin", "organization/x"));
  EXPECT_TRUE(Scope("\"publish\"").Allows("publish", "topic/x"));
  EXPECT_FALSE(Scope("\"publish\"").Allows("read", "topic/x"));
  EXPECT_FALSE(Scope("\"read\"").Allows("read-runs", "subscription/x"));
  EXPECT_TRUE(Scope("\"publish:topic/orders\"").Allows("publish", "topic/orders"));
  EXPECT_FALSE(Scope("\"publish:topic/orders\"").Allows("publish", "topic/orders2"));
  EXPECT_TRUE(Scope("\"write:subscription/*\"").AllowsSome("write", "subscription"));
}

TEST(AuthorizationTest, FaultsNameTheField) {
  EXPECT_THAT(Fault("[\"fly\"]"), HasSubstr("unknown word \"fly\""));
  EXPECT_THAT(Fault("[\"read:orders\"]"), HasSubstr("kind/name"));
  EXPECT_THAT(Fault("[\"read:topic/a*b\"]"), HasSubstr("kind/name"));
  EXPECT_THAT(Fault("[1]"), HasSubstr("scopes"));
  EXPECT_THAT(Fault("{}"), HasSubstr("scopes"));
  EXPECT_THAT(Fault(R"([{"actions":[],"resources":["*"]}])"), HasSubstr("actions"));
  EXPECT_THAT(Fault(R"([{"actions":["read"]}])"), HasSubstr("resources"));
}

TEST(AuthorizationTest, PoliciesAddToScopes) {
  auto policy = Policy::Parse(json::ParseObject(R"({"name":"p","global":true,"rules":[
      {"subjects":["key:k1","key:ci"],"actions":["read"],"resources":["topic/a"]},
      {"subjects":["*"],"actions":["read"],"resources":["topic/open"]},
      {"subjects":["k2"],"actions":["*"],"resources":["*"]}]})")
                                  .value());
  ASSERT_TRUE(policy.ok()) << policy.message();
  EXPECT_TRUE(policy->global);
  Permissions by_id, by_name, other;
  AddPolicy(*policy, "k1", "", &by_id);
  AddPolicy(*policy, "x", "ci", &by_name);
  AddPolicy(*policy, "k2", "", &other);
  EXPECT_TRUE(by_id.Allows("read", "topic/a"));
  EXPECT_TRUE(by_name.Allows("read", "topic/a"));
  EXPECT_FALSE(other.Allows("read", "topic/a"));
  EXPECT_TRUE(other.Allows("read", "topic/open"));
  EXPECT_TRUE(other.AllowsSome("read", "topic"));
  EXPECT_FALSE(Permissions().Allows("read", "topic/open"));
  EXPECT_EQ(Policy::Parse({}).code(), Code::kInvalidArgument);
}

}  // namespace dispatch::auth::authorization_test
