#include "identity/src/adapters/entities.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/objects.h"

namespace dispatch::identity {

namespace {

// In one order, so that two revocations at once wait for each other and the second sees the first.
constexpr char kLockGlobalKeys[] = R"(
  select name, document ? 'expiresAt' from entities
  where kind = 'apikey' and document->>'global' = 'true' order by name for update)";

}  // namespace

StoredEntity NewEntity(const char* kind, std::string org, std::string name, json::object document,
                       WallTime now) {
  StoredEntity entity;
  entity.kind = kind;
  entity.org = std::move(org);
  entity.name = std::move(name);
  entity.uuid = Uuid::V7(now);
  entity.document = std::move(document);
  entity.document.emplace("status", "READY");
  entity.document["createdTime"] = ToMillis(now) / 1000;
  entity.document["modifiedTime"] = ToMillis(now) / 1000;
  return entity;
}

StoredEntity NewApiKey(const std::string& org, const auth::KeyText& key, json::object document,
                       std::string_view service_key, WallTime now) {
  document["id"] = key.id;
  document["status"] = "ACTIVE";
  document["internal"] = {{"hmac", auth::HashSecret(service_key, key.secret)}};
  return NewEntity(schema::kApiKeyKind, org, key.id, std::move(document), now);
}

bool IsGlobalKey(const StoredEntity& entity) {
  return entity.kind == schema::kApiKeyKind && json::GetBool(entity.document, "global");
}

Result<StoredEntity> LockOrganization(pg::Transaction& tx, const std::string& name) {
  auto locked = EntityStore(tx).Lock(schema::kOrganizationKind, name, name);
  if (locked.ok() || locked.code() != Code::kNotFound) return locked;
  return Error{Code::kNotFound, fmt::format("organization '{}' does not exist", name)};
}

Status RequireGlobal(pg::Transaction& tx, const schema::Principal& principal,
                     std::string_view what) {
  if (principal.kind == "service") return {};
  if (principal.kind == "key") {
    ASSIGN_OR_RETURN(auto key,
                     EntityStore(tx).Find(schema::kApiKeyKind, principal.org, principal.id));
    if (key && IsGlobalKey(*key)) return {};
  }
  return {Code::kPermissionDenied,
          fmt::format("{} needs a key that may act in every organization", what)};
}

Status KeepAGlobalKey(pg::Transaction& tx, const std::vector<std::string>& leaving) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kLockGlobalKeys));
  for (size_t i = 0; i < rows.size(); ++i) {
    bool expires = rows[i].Bool(1);
    bool leaves = std::find(leaving.begin(), leaving.end(), rows[i].Text(0)) != leaving.end();
    if (!expires && !leaves) return {};
  }
  return {Code::kConflict,
          "no key without an expiry could act in every organization any more: make another one "
          "first ({\"global\": true})"};
}

}  // namespace dispatch::identity
