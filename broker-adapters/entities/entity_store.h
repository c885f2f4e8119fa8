#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/pg/pool.h"
#include "common/result.h"
#include "common/uuid.h"

namespace dispatch {

/// An entity as its owner stores it.
struct StoredEntity {
  std::string kind;
  std::string org;
  std::string name;
  Uuid uuid;
  int64_t version = 0;
  json::object document;

  std::string Key() const { return org + "/" + name; }
};

/// The tables `entities` and `outbox` (schema/sql/common) inside the caller's transaction: each
/// change writes both, so what is committed is told. Call on a pool thread.
class EntityStore {
 public:
  explicit EntityStore(pg::Transaction& tx) : tx_(tx) {}

  /// kAlreadyExists when the name is taken. Fills version.
  Status Insert(StoredEntity& entity);

  /// Locks and reads one entity: kNotFound naming it.
  Result<StoredEntity> Lock(const std::string& kind, const std::string& org,
                            const std::string& name);
  Result<std::optional<StoredEntity>> Find(const std::string& kind, const std::string& org,
                                           const std::string& name);
  /// All of a kind, of one org or (empty) of all, by name.
  Result<std::vector<StoredEntity>> List(const std::string& kind, const std::string& org);

  /// Writes a locked entity's document under a new version, which it fills in. kPreconditionFailed
  /// when `if_match` is another version than the one read.
  Status Update(StoredEntity& entity, std::optional<int64_t> if_match);
  /// The same; but a document that differs in nothing but `modifiedTime` keeps its version and is
  /// told to nobody, so that a PUT may be repeated at will. Fills in the document as it is.
  Status UpdateIfChanged(StoredEntity& entity, std::optional<int64_t> if_match);
  Status Delete(StoredEntity& entity, std::optional<int64_t> if_match);
  /// The check of those three alone, for who has nothing to write.
  static Status CheckMatch(const StoredEntity& entity, std::optional<int64_t> if_match);

 private:
  Status Tell(const StoredEntity& entity, bool deleted);

  pg::Transaction& tx_;
};

}  // namespace dispatch
