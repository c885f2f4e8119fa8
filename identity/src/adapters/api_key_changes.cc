#include <fmt/format.h>

#include "identity/src/adapters/entities.h"
#include "identity/src/adapters/mutation.h"
#include "identity/src/domain/identity_requests.h"
#include "schema/objects.h"

namespace dispatch::identity {

namespace {

using schema::kApiKeyKind;

constexpr char kIdOfName[] = R"(
  select name from entities where kind = 'apikey' and org = $1 and document->>'name' = $2)";

Result<std::optional<std::string>> IdOfName(pg::Transaction& tx, const std::string& org,
                                            const std::string& name) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kIdOfName, {org, name}));
  if (rows.empty()) return std::optional<std::string>();
  return std::optional(rows[0].Text(0));
}

Result<StoredEntity> LockKey(pg::Transaction& tx, const std::string& org,
                             const std::string& id_or_name) {
  EntityStore store(tx);
  auto locked = store.Lock(kApiKeyKind, org, id_or_name);
  if (locked.ok() || locked.code() != Code::kNotFound) return locked;
  ASSIGN_OR_RETURN(auto id, IdOfName(tx, org, id_or_name));
  if (id) return store.Lock(kApiKeyKind, org, *id);
  return Error{Code::kNotFound, fmt::format("organization '{}' has no API key with the id or the "
                                            "name '{}'",
                                            org, id_or_name)};
}

// Under the organisation's lock, so that two requests cannot both find the name free.
Status RequireFreeName(pg::Transaction& tx, const std::string& org, const std::string& name) {
  ASSIGN_OR_RETURN(auto owner, IdOfName(tx, org, name));
  if (!owner) return {};
  return {Code::kAlreadyExists,
          fmt::format("API key '{}' exists already (id {}); choose another name, or revoke it",
                      name, *owner)};
}

}  // namespace

Result<Outcome> CreateApiKey(pg::Transaction& tx, const Mutation& mutation) {
  const std::string& org = mutation.request.org;
  ASSIGN_OR_RETURN(auto document, ApiKeyDocument(mutation.body, mutation.now));
  if (json::GetBool(document, "global")) {
    RETURN_IF_ERROR(RequireGlobal(tx, mutation.request.principal, "making a global key"));
  }
  RETURN_IF_ERROR(LockOrganization(tx, org));
  RETURN_IF_ERROR(RequireFreeName(tx, org, mutation.Name()));
  auth::KeyText key = auth::KeyText::Random();
  auto entity = NewApiKey(org, key, std::move(document), mutation.service_key, mutation.now);
  RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
  return Outcome{std::move(entity), key.ToString()};
}

Result<Outcome> UpdateApiKey(pg::Transaction& tx, const Mutation& mutation) {
  const std::string& org = mutation.request.org;
  ASSIGN_OR_RETURN(auto changes, ApiKeyChanges(mutation.body, mutation.now));
  RETURN_IF_ERROR(LockOrganization(tx, org));
  ASSIGN_OR_RETURN(auto entity,
                   LockKey(tx, org, json::GetString(mutation.body, "id", mutation.Name())));
  std::string name = json::GetString(changes, "name");
  if (!name.empty() && name != json::GetString(entity.document, "name")) {
    RETURN_IF_ERROR(RequireFreeName(tx, org, name));
  }
  if (IsGlobalKey(entity) && changes.contains("expiresAt")) {
    RETURN_IF_ERROR(KeepAGlobalKey(tx, {entity.name}));
  }
  for (const auto& change : changes) entity.document[change.key()] = change.value();
  entity.document["modifiedTime"] = ToMillis(mutation.now) / 1000;
  RETURN_IF_ERROR(EntityStore(tx).UpdateIfChanged(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

Result<Outcome> DeleteApiKey(pg::Transaction& tx, const Mutation& mutation) {
  const std::string& org = mutation.request.org;
  ASSIGN_OR_RETURN(auto entity, LockKey(tx, org, mutation.Name()));
  if (IsGlobalKey(entity)) RETURN_IF_ERROR(KeepAGlobalKey(tx, {entity.name}));
  EntityStore store(tx);
  entity.document["status"] = "REVOKED";
  entity.document["modifiedTime"] = ToMillis(mutation.now) / 1000;
  RETURN_IF_ERROR(store.Update(entity, mutation.request.if_match));
  RETURN_IF_ERROR(store.Delete(entity, std::nullopt));
  return Outcome{std::move(entity)};
}

}  // namespace dispatch::identity
