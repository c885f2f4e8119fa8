// Runs in PostgreSQL: against the one that DISPATCH_TEST_PG_URL names, in a schema of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "common/pg/migrations.h"
#include "common/pg/testing/own_schema.h"
#include "function-manager/src/adapters/secret_vault.h"
#include "schema/objects.h"

namespace dispatch::secret_vault_contract {
namespace {

using ::testing::HasSubstr;

const std::string kOld(32, 'o');
const std::string kNew(32, 'n');

class Vault : public pg::testing::OwnSchema {
 protected:
  Vault() : OwnSchema("secret_vault_contract") {}
  void SetUp() override {
    OwnSchema::SetUp();
    if (!IsSkipped()) Migrate(Migrations());
  }

  SecretVault With(std::vector<std::string> keys) { return {*pool_, table_, std::move(keys)}; }
  void Store(const SecretVault& vault, const std::string& name, const std::string& value) {
    StoredEntity entity{schema::kSecretKind, "acme", name, Uuid::Random(), 7, {}};
    auto stored = pool_->RunNow(
        [&](pg::Transaction& tx) { return vault.Store(tx, entity, {{"word", value}}); });
    ASSERT_TRUE(stored.ok()) << stored.message();
  }
  Result<SecretValues> Load(const SecretVault& vault, const std::string& name) {
    Result<SecretValues> values = Error{Code::kInternal, "not loaded"};
    auto status = pool_->RunNow([&](pg::Transaction& tx) {
      values = vault.Load(tx, "acme", name);
      return values.status();
    });
    return values;
  }
  size_t Rewrap(const SecretVault& vault) {
    size_t count = 0;
    auto status = pool_->RunNow([&](pg::Transaction& tx) -> Status {
      ASSIGN_OR_RETURN(count, vault.Rewrap(tx));
      return {};
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return count;
  }

  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("test");
  broker::RecordSigner signer_{std::string(32, 'k')};
  broker::StateTable table_{*broker_, loop_, signer_, "function-manager"};
};

TEST_F(Vault, TheKeyIsRotatedAndTheOldOneTakenAway) {
  Store(With({kOld}), "a", "old");
  // First every instance knows both, and the old one is in use; then the new one is.
  SecretVault both = With({kOld, kNew});
  EXPECT_EQ(Rewrap(both), 0u);
  SecretVault rotated = With({kNew, kOld});
  EXPECT_EQ(Load(rotated, "a").value(), (SecretValues{{"word", "old"}}));
  Store(rotated, "b", "new");
  EXPECT_EQ(Load(both, "b").value(), (SecretValues{{"word", "new"}}));
  EXPECT_EQ(Rewrap(rotated), 1u);
  EXPECT_EQ(Rewrap(rotated), 0u);
  SecretVault alone = With({kNew});
  EXPECT_EQ(Load(alone, "a").value(), (SecretValues{{"word", "old"}}));
  EXPECT_EQ(Load(alone, "b").value(), (SecretValues{{"word", "new"}}));
  EXPECT_THAT(Load(With({kOld}), "a").message(), HasSubstr("secrets-key-file"));
}

TEST_F(Vault, WhatWasSealedForTheKeyOfBeforeIsOpened) {
  SecretVault old = With({kOld});
  auto box = crypto::Seal(old.sealing_keys().public_key, "values");
  ASSERT_TRUE(box.ok());
  EXPECT_EQ(With({kNew, kOld}).OpenSealed(*box).value(), "values");
  EXPECT_FALSE(With({kNew}).OpenSealed(*box).ok());
  EXPECT_FALSE(With({}).OpenSealed(*box).ok());
}

}  // namespace
}  // namespace dispatch::secret_vault_contract
