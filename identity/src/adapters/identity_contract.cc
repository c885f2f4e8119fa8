// Runs against the PostgreSQL that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/jwt/signing_key.h"
#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "identity/src/adapters/bootstrap.h"
#include "identity/src/adapters/commands.h"
#include "identity/src/adapters/mutation.h"
#include "schema/authorization.h"
#include "schema/objects.h"

// libpqxx 6.4 drops the result of a BEGIN that finds the connection lost: 2 kB each time.
extern "C" const char* __lsan_default_suppressions();  // NOLINT: the sanitizer's name
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }

namespace dispatch::identity::identity_contract {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kServiceKey[] = "0123456789abcdef0123456789abcdef";

class Identity : public pg::testing::OwnSchema {
 protected:
  Identity() : OwnSchema("identity_contract", 4) {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (IsSkipped()) return;
    std::string directory = ::testing::TempDir() + "identity-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    directory_ = directory;
    bootstrap_ = {"default", directory_ / "admin.key", kServiceKey};
    Migrate(Migrations());
  }
  void TearDown() override {
    OwnSchema::TearDown();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  Result<std::vector<StoredEntity>> Start() {
    Result<std::vector<StoredEntity>> made = std::vector<StoredEntity>();
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      made = Bootstrap(tx, bootstrap_, loop_.Now());
      return made.status();
    });
    if (!status.ok()) return status;
    return made;
  }

  // A change as the principal of the key, in the organisation.
  Result<Outcome> Apply(Change change, const std::string& key, json::object body,
                        const std::string& org = "default") {
    Mutation mutation{{}, std::move(body), loop_.Now(), kServiceKey};
    mutation.request.org = org;
    mutation.request.principal = {"key", key.substr(4, auth::KeyText::kIdLength), "default"};
    Result<Outcome> outcome = Outcome();
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      outcome = change(tx, mutation);
      return outcome.status();
    });
    if (!status.ok()) return status;
    return outcome;
  }

  // "kind/org deleted status" of what the relay is to publish, in order; names are random.
  std::vector<std::string> Outbox() {
    std::vector<std::string> told;
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto rows, tx.Exec("select kind || '/' || org || ' ' || case when deleted "
                                          "then 'gone' else document->>'status' end, "
                                          "document::text from outbox order by seq"));
      for (size_t i = 0; i < rows.size(); ++i) {
        told.push_back(rows[i].Text(0));
        documents_ += rows[i].Text(1);
      }
      return tx.ExecScript("delete from outbox");
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return told;
  }

  std::string KeyInFile() const {
    std::string text;
    std::ifstream(bootstrap_.key_file) >> text;
    return text;
  }

  std::filesystem::path directory_;
  BootstrapOptions bootstrap_;
  std::string documents_;
};

TEST_F(Identity, StartsWithAnOrganizationAndAKeyInAFile) {
  auto made = Start();
  ASSERT_TRUE(made.ok()) << made.message();
  ASSERT_EQ(made->size(), 2u);
  auto key = auth::KeyText::Parse(KeyInFile());
  ASSERT_TRUE(key.ok()) << key.message();
  const auto& document = made->at(1).document;
  EXPECT_EQ(made->at(1).name, key->id);
  EXPECT_TRUE(json::GetBool(document, "global"));
  EXPECT_EQ(json::GetString(document, "status"), "ACTIVE");
  EXPECT_TRUE(auth::SecretMatches(kServiceKey, key->secret,
                                  json::GetString(*json::GetObject(document, "internal"), "hmac")));
  EXPECT_THAT(Outbox(), ElementsAre("organization/default READY", "apikey/default ACTIVE"));
  EXPECT_THAT(documents_, Not(HasSubstr(key->secret)));
  // The next start makes nothing.
  auto again = Start();
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_TRUE(again->empty());
  EXPECT_EQ(KeyInFile(), key->ToString());
}

TEST_F(Identity, TwoFirstStartsAtOnceMakeOneKey) {
  size_t made = 0, failed = 0;
  for (int i = 0; i < 4; ++i) {
    pool_->Query<std::vector<StoredEntity>>(
        [this](pg::Transaction& tx) { return Bootstrap(tx, bootstrap_, loop_.Now()); },
        [&](Result<std::vector<StoredEntity>> entities) {
          entities.ok() ? made += entities->size() + 100 : ++failed;
        });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return made / 100 + failed == 4; }, std::chrono::seconds(20)));
  EXPECT_EQ(made, 402u);
}

TEST_F(Identity, AStartThatDiedBeforeItsCommitLeavesItsKeyToTheNext) {
  auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
    EXPECT_TRUE(Bootstrap(tx, bootstrap_, loop_.Now()).ok());
    return {Code::kInternal, "died"};
  });
  EXPECT_EQ(status.code(), Code::kInternal);
  std::string key = KeyInFile();
  EXPECT_FALSE(key.empty());
  ASSERT_TRUE(Start().ok());
  EXPECT_EQ(KeyInFile(), key);
}

TEST_F(Identity, WithoutAPlaceForTheKeyNothingIsMade) {
  bootstrap_.key_file = directory_ / "none" / "admin.key";
  EXPECT_THAT(Start().message(), HasSubstr("directory must exist"));
  bootstrap_.key_file = "";
  EXPECT_THAT(Start().message(), HasSubstr("bootstrap-key-file"));
  EXPECT_TRUE(Outbox().empty());
}

TEST_F(Identity, RevokingTellsThatTheKeyIsRevokedAndThenGone) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  auto made = Apply(CreateApiKey, admin, {{"name", "ci"}, {"scopes", json::array{"publish"}}});
  ASSERT_TRUE(made.ok()) << made.message();
  auto key = auth::KeyText::Parse(made->key_text);
  ASSERT_TRUE(key.ok()) << key.message();
  auto reply = ReplyOf(*made);
  EXPECT_EQ(json::GetString(reply.body.as_object(), "key"), made->key_text);
  EXPECT_EQ(json::GetString(reply.body.as_object(), "id"), key->id);
  EXPECT_FALSE(reply.body.as_object().contains("internal"));
  EXPECT_EQ(Apply(CreateApiKey, admin, {{"name", "ci"}, {"scopes", json::array()}}).code(),
            Code::kAlreadyExists);
  Outbox();

  auto revoked = Apply(DeleteApiKey, admin, {{"name", "ci"}});
  ASSERT_TRUE(revoked.ok()) << revoked.message();
  EXPECT_GT(revoked->entity.version, made->entity.version);
  EXPECT_FALSE(ReplyOf(*revoked).body.as_object().contains("key"));
  EXPECT_THAT(Outbox(), ElementsAre("apikey/default REVOKED", "apikey/default gone"));
  EXPECT_EQ(Apply(DeleteApiKey, admin, {{"name", key->id}}).code(), Code::kNotFound);
  EXPECT_THAT(documents_, Not(HasSubstr(key->secret)));
}

TEST_F(Identity, ARepeatedRequestChangesNothingAndShowsNoKeyAgain) {
  ASSERT_TRUE(Start().ok());
  Mutation mutation{{}, {{"name", "ci"}, {"scopes", json::array()}}, loop_.Now(), kServiceKey};
  mutation.request = {.method = "apikey.create", .org = "default", .idempotency_key = "once"};
  mutation.request.body = json::Serialize(mutation.body);
  std::vector<broker::RpcReply> replies;
  for (int i = 0; i < 2; ++i) {
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(auto reply, ApplyOnce(tx, CreateApiKey, mutation));
      replies.push_back(std::move(reply));
      return {};
    });
    ASSERT_TRUE(status.ok()) << status.message();
  }
  EXPECT_TRUE(replies[0].body.as_object().contains("key"));
  EXPECT_FALSE(replies[1].body.as_object().contains("key"));
  EXPECT_EQ(replies[0].state_key, replies[1].state_key);
  EXPECT_EQ(replies[0].state_version, replies[1].state_version);
}

TEST_F(Identity, KeysAreFoundByIdAndChangedInPart) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  auto made = Apply(CreateApiKey, admin, {{"name", "ci"}, {"scopes", json::array{"publish"}}});
  ASSERT_TRUE(made.ok()) << made.message();
  auto changed = Apply(UpdateApiKey, admin, {{"id", made->entity.name}, {"name", "build"}});
  ASSERT_TRUE(changed.ok()) << changed.message();
  EXPECT_EQ(json::GetString(changed->entity.document, "name"), "build");
  EXPECT_EQ(json::Serialize(changed->entity.document.at("scopes")), R"(["publish"])");
  EXPECT_EQ(Apply(UpdateApiKey, admin, {{"id", made->entity.name}, {"name", "bootstrap"}}).code(),
            Code::kAlreadyExists);
}

TEST_F(Identity, OnlyAGlobalKeyReachesAcrossOrganizations) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  ASSERT_TRUE(Apply(CreateOrganization, admin, {{"name", "acme"}}).ok());
  auto local = Apply(CreateApiKey, admin, {{"name", "a"}, {"scopes", json::array{"admin"}}});
  ASSERT_TRUE(local.ok()) << local.message();
  EXPECT_EQ(Apply(CreateOrganization, local->key_text, {{"name", "b"}}).code(),
            Code::kPermissionDenied);
  EXPECT_EQ(Apply(DeleteOrganization, local->key_text, {{"name", "acme"}}).code(),
            Code::kPermissionDenied);
  EXPECT_EQ(Apply(UpdateOrganization, local->key_text, {{"name", "acme"}}).code(),
            Code::kPermissionDenied);
  EXPECT_TRUE(Apply(UpdateOrganization, local->key_text, {{"name", "default"}}).ok());
  EXPECT_EQ(Apply(CreateApiKey, local->key_text,
                  {{"name", "g"}, {"scopes", json::array{"admin"}}, {"global", true}})
                .code(),
            Code::kPermissionDenied);
  json::object rule = {{"subjects", json::array{"*"}},
                       {"actions", json::array{"read"}},
                       {"resources", json::array{"*"}}};
  json::object policy = {{"name", "p"}, {"global", true}, {"rules", json::array{rule}}};
  EXPECT_EQ(Apply(CreatePolicy, local->key_text, policy).code(), Code::kPermissionDenied);
  EXPECT_TRUE(Apply(CreatePolicy, admin, policy).ok());
}

TEST_F(Identity, ServiceAccountsAreMadeChangedAndRemoved) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  auto account = [](const std::string& audience) {
    json::object body{{"name", "ci"}, {"publicKey", jwt::SigningKey::Random().PublicPem()}};
    if (!audience.empty()) body["audience"] = audience;
    return body;
  };
  EXPECT_EQ(Apply(UpdateServiceAccount, admin, account("")).code(), Code::kNotFound);
  EXPECT_EQ(Apply(CreateServiceAccount, admin, {{"name", "ci"}}).code(), Code::kUnprocessable);
  auto made = Apply(CreateServiceAccount, admin, account("a"));
  ASSERT_TRUE(made.ok()) << made.message();
  EXPECT_EQ(Apply(CreateServiceAccount, admin, account("")).code(), Code::kAlreadyExists);
  auto changed = Apply(UpdateServiceAccount, admin, account(""));
  ASSERT_TRUE(changed.ok()) << changed.message();
  EXPECT_EQ(changed->entity.uuid, made->entity.uuid);
  EXPECT_FALSE(changed->entity.document.contains("audience"));
  EXPECT_NE(changed->entity.document["publicKey"], made->entity.document["publicKey"]);
  EXPECT_TRUE(Apply(DeleteServiceAccount, admin, {{"name", "ci"}}).ok());
  EXPECT_EQ(Apply(DeleteServiceAccount, admin, {{"name", "ci"}}).code(), Code::kNotFound);
}

TEST_F(Identity, AnOrganizationTakesItsKeysAndPoliciesAlong) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  ASSERT_TRUE(Apply(CreateOrganization, admin, {{"name", "acme"}}).ok());
  json::object rule = {{"subjects", json::array{"key:ci"}},
                       {"actions", json::array{"read"}},
                       {"resources", json::array{"*"}}};
  json::object policy = {{"name", "p"}, {"rules", json::array{rule}}};
  ASSERT_TRUE(Apply(CreatePolicy, admin, policy, "acme").ok());
  json::object key = {{"name", "ci"}, {"scopes", json::array()}};
  ASSERT_TRUE(Apply(CreateApiKey, admin, key, "acme").ok());
  EXPECT_EQ(Apply(CreateApiKey, admin, key, "nowhere").code(), Code::kNotFound);
  json::object account = {{"name", "ci"}, {"publicKey", jwt::SigningKey::Random().PublicPem()}};
  ASSERT_TRUE(Apply(CreateServiceAccount, admin, account, "acme").ok());
  EXPECT_EQ(Apply(CreateServiceAccount, admin, account, "nowhere").code(), Code::kNotFound);
  Outbox();
  ASSERT_TRUE(Apply(DeleteOrganization, admin, {{"name", "acme"}}).ok());
  EXPECT_THAT(Outbox(), ElementsAre("organization/acme gone", "apikey/acme gone",
                                    "policy/acme gone", "serviceaccount/acme gone"));
  // What other services hold under the name must not become another's.
  EXPECT_EQ(Apply(CreateOrganization, admin, {{"name", "acme"}}).code(), Code::kAlreadyExists);
}

TEST_F(Identity, TheLastGlobalKeyStays) {
  ASSERT_TRUE(Start().ok());
  std::string admin = KeyInFile();
  EXPECT_EQ(Apply(DeleteApiKey, admin, {{"name", "bootstrap"}}).code(), Code::kConflict);
  EXPECT_EQ(Apply(DeleteOrganization, admin, {{"name", "default"}}).code(), Code::kConflict);
  json::object key = {{"name", "g"}, {"scopes", json::array{"admin"}}, {"global", true}};
  auto other = Apply(CreateApiKey, admin, key);
  ASSERT_TRUE(other.ok()) << other.message();
  EXPECT_TRUE(Apply(DeleteApiKey, other->key_text, {{"name", "bootstrap"}}).ok());
  EXPECT_EQ(Apply(CreateOrganization, admin, {{"name", "b"}}).code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace dispatch::identity::identity_contract
