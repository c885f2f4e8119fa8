#include "identity/src/domain/identity_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto.h"
#include "common/jwt/signing_key.h"

namespace dispatch::identity::identity_requests_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const WallTime kNow = FromMillis(1'800'000'000'000);  // 2027

json::object Parse(std::string_view text) { return json::ParseObject(text).value(); }

std::vector<std::string> FaultyFields(const Result<json::object>& result) {
  std::vector<std::string> fields;
  if (result.ok()) return fields;
  EXPECT_EQ(result.code(), Code::kUnprocessable);
  for (const auto& detail : result.error().details) fields.push_back(detail.field);
  return fields;
}

TEST(OrganizationDocument, TakesANameAndTags) {
  auto document = OrganizationDocument(
      Parse(R"({"name": "acme-1", "tags": [{"key": "a", "value": "b"}], "revision": 3})"));
  ASSERT_TRUE(document.ok()) << document.message();
  EXPECT_EQ(json::Serialize(*document),
            R"({"name":"acme-1","kind":"Organization","tags":[{"key":"a","value":"b"}]})");
}

TEST(OrganizationDocument, RefusesOtherNames) {
  for (const char* name : {"", "Acme", "a.b", "a_b", "-a", "dispatch"}) {
    EXPECT_THAT(FaultyFields(OrganizationDocument({{"name", name}})), ElementsAre("name")) << name;
  }
  EXPECT_THAT(FaultyFields(OrganizationDocument(Parse(R"({"name": "a", "nmae": 1})"))),
              ElementsAre("nmae"));
}

TEST(ServiceAccountDocument, TakesVmwaresFormAndNamesFaults) {
  std::string key = crypto::Base64Encode(jwt::SigningKey::Random().PublicPem());
  json::object request{{"name", "ci"},    {"publicKey", key}, {"domain", "x"},
                       {"tags", nullptr}, {"id", "1"},        {"createdTime", 1}};
  auto document = ServiceAccountDocument(request);
  ASSERT_TRUE(document.ok()) << document.message();
  EXPECT_EQ(*document, (json::object{{"name", "ci"},
                                     {"kind", "ServiceAccount"},
                                     {"publicKey", key},
                                     {"domain", "svc.dispatch.local"},
                                     {"tags", json::array()}}));
  request["audience"] = "dispatch";
  EXPECT_EQ(ServiceAccountDocument(request)->at("audience"), "dispatch");
  EXPECT_THAT(FaultyFields(ServiceAccountDocument({{"name", "a b"}})),
              ElementsAre("name", "publicKey"));
  for (const std::string& bad :
       {std::string("x"), crypto::Base64Encode("x"), jwt::SigningKey::Random().PrivatePem()}) {
    auto refused = ServiceAccountDocument({{"name", "a"}, {"publicKey", bad}, {"keys", 1}});
    EXPECT_THAT(FaultyFields(refused), ElementsAre("publicKey", "keys"));
    EXPECT_THAT(refused.message(), HasSubstr("public"));
  }
}

TEST(ApiKeyDocument, KeepsScopesAsGiven) {
  auto document = ApiKeyDocument(Parse(R"({"name": "ci", "scopes": ["publish:topic/orders",
                {"actions": ["read"], "resources": ["topic/*"]}],
                "expiresAt": "2030-01-01T01:00:00+01:00"})"),
                                 kNow);
  ASSERT_TRUE(document.ok()) << document.message();
  EXPECT_EQ(document->at("scopes").as_array().size(), 2u);
  EXPECT_EQ(document->at("expiresAt"), "2030-01-01T00:00:00.000Z");
  EXPECT_FALSE(document->contains("global"));
}

TEST(ApiKeyDocument, NamesEveryFault) {
  auto document = ApiKeyDocument(
      Parse(R"({"name": "a b", "scopes": ["publish", "fly", 7], "expiresAt": "tomorrow",
                "global": "yes", "color": "red"})"),
      kNow);
  EXPECT_THAT(FaultyFields(document),
              ElementsAre("name", "scopes[1]", "scopes[2]", "expiresAt", "global", "color"));
  EXPECT_THAT(document.message(), HasSubstr("unknown word \"fly\""));
}

TEST(ApiKeyDocument, NeedsAFutureExpiryAndAListOfScopes) {
  EXPECT_THAT(FaultyFields(ApiKeyDocument(
                  Parse(R"({"name": "a", "expiresAt": "2020-01-01T00:00:00Z"})"), kNow)),
              ElementsAre("expiresAt"));
  EXPECT_THAT(FaultyFields(ApiKeyDocument(Parse(R"({"name": "a", "scopes": "admin"})"), kNow)),
              ElementsAre("scopes"));
  auto bare = ApiKeyDocument(Parse(R"({"name": "a"})"), kNow);
  ASSERT_TRUE(bare.ok()) << bare.message();
  EXPECT_TRUE(bare->at("scopes").as_array().empty());
}

TEST(ApiKeyChanges, LeavesOutWhatIsNotGiven) {
  auto changes = ApiKeyChanges(Parse(R"({"name": "ci", "scopes": ["read"]})"), kNow);
  ASSERT_TRUE(changes.ok()) << changes.message();
  EXPECT_EQ(json::Serialize(*changes), R"({"scopes":["read"]})");
  changes = ApiKeyChanges(Parse(R"({"id": "abcdefghijkl", "name": "new"})"), kNow);
  ASSERT_TRUE(changes.ok()) << changes.message();
  EXPECT_EQ(json::Serialize(*changes), R"({"name":"new"})");
  changes = ApiKeyChanges(Parse(R"({"id": "abcdefghijkl", "name": "abcdefghijkl"})"), kNow);
  ASSERT_TRUE(changes.ok()) << changes.message();
  EXPECT_TRUE(changes->empty());
}

TEST(PolicyDocument, TakesVmwaresForm) {
  auto document = PolicyDocument(
      Parse(R"({"name": "p", "rules": [{"subjects": ["key:ci"], "actions": ["publish"],
                "resources": ["topic/orders*"]}]})"));
  ASSERT_TRUE(document.ok()) << document.message();
  EXPECT_EQ(document->at("global"), false);
  EXPECT_EQ(document->at("rules").as_array().size(), 1u);
}

TEST(PolicyDocument, RefusesEmptyLists) {
  EXPECT_THAT(FaultyFields(PolicyDocument(Parse(R"({"name": "p"})"))), ElementsAre("rules"));
  EXPECT_THAT(FaultyFields(PolicyDocument(Parse(R"({"name": "p", "rules": []})"))),
              ElementsAre("rules"));
  EXPECT_THAT(FaultyFields(PolicyDocument(
                  Parse(R"({"name": "p", "rules": [{"subjects": [], "actions": ["read"]}, 4]})"))),
              ElementsAre("rules[0].subjects", "rules[0].resources", "rules[1]"));
}

TEST(PolicyDocument, ChecksWordsAndMisspeltFields) {
  auto faults = [](std::string_view rule) {
    return FaultyFields(
        PolicyDocument(Parse(R"({"name": "p", "rules": [)" + std::string(rule) + "]}")));
  };
  EXPECT_THAT(faults(R"({"subjects": ["*"], "actions": ["fly"], "resources": ["*"]})"),
              ElementsAre("rules[0].actions"));
  EXPECT_THAT(faults(R"({"subjects": ["*"], "actions": ["read"], "resources": ["orders"]})"),
              ElementsAre("rules[0].resources"));
  EXPECT_THAT(faults(R"({"subjects": ["a b"], "actions": ["read"], "resources": ["*"]})"),
              ElementsAre("rules[0].subjects"));
  EXPECT_THAT(
      faults(R"({"subjects": ["*"], "actions": ["read"], "resources": ["*"], "effect": "deny"})"),
      ElementsAre("rules[0].effect"));
  EXPECT_THAT(faults(R"({"subjects": ["*"], "actions": ["read"], "resources": ["*"]})"), IsEmpty());
}

}  // namespace
}  // namespace dispatch::identity::identity_requests_test
