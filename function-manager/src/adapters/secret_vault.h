#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/state_table.h"
#include "common/crypto.h"
#include "common/pg/pool.h"
#include "function-manager/src/domain/credentials.h"

namespace dispatch {

/// The values of secrets: encrypted in PostgreSQL (table `secrets`; the text binds organisation,
/// name and version), opened in memory for what uses them. One owner; Store and Load run on pool
/// threads.
class SecretVault {
 public:
  using ValuesPtr = std::shared_ptr<const SecretValues>;

  /// `table` has the entities of secrets. `keys` are of 32 bytes: the first encrypts, those of
  /// before still open what they encrypted. None: then there are no secrets.
  SecretVault(pg::Pool& pool, const broker::StateTable& table, std::vector<std::string> keys);

  bool usable() const { return !keys_.empty(); }
  /// What values cross topics sealed with. CHECK: usable.
  const crypto::SealingKeys& sealing_keys() const { return keys_.at(0).sealing; }
  /// What was sealed for this key, or for one of before.
  Result<std::string> OpenSealed(std::string_view box) const;

  /// Writes the values of an entity, under its version.
  Status Store(pg::Transaction& tx, const StoredEntity& entity, const SecretValues& values) const;
  Result<SecretValues> Load(pg::Transaction& tx, const std::string& org,
                            const std::string& name) const;
  Status Remove(pg::Transaction& tx, const StoredEntity& entity) const;
  /// Puts the secrets that keys of before encrypted under the first key; how many they were. The
  /// values are not touched: each secret has a key of its own, and only that one is.
  Result<size_t> Rewrap(pg::Transaction& tx) const;

  /// The newest values: at least what was written here before, and what the table tells of others'
  /// writes. kNotFound names the secret. `done` may run at once.
  void Get(const std::string& org, const std::string& name,
           std::function<void(Result<ValuesPtr>)> done);
  /// A secret was written or deleted here: PostgreSQL is asked anew.
  void Forget();

 private:
  struct Kept {
    int64_t version = 0;
    ValuesPtr values;
  };

  struct Key {
    std::string id;
    std::string bytes;
    crypto::SealingKeys sealing;
  };

  Result<Kept> Read(pg::Transaction& tx, const std::string& org, const std::string& name) const;

  pg::Pool& pool_;
  const broker::StateTable& table_;
  std::vector<Key> keys_;                       // the first is in use
  std::unordered_map<std::string, Kept> kept_;  // by org/name
  uint64_t forgotten_ = 0;                      // how often
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
