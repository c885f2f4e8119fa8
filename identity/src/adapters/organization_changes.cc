#include "identity/src/adapters/entities.h"
#include "identity/src/adapters/mutation.h"
#include "identity/src/domain/identity_requests.h"
#include "schema/objects.h"
#include "schema/service_account.h"

namespace dispatch::identity {

namespace {

// A key, policy or account that goes at the same time by another request is gone as well.
Status DeleteAll(EntityStore& store, std::vector<StoredEntity> entities) {
  for (StoredEntity& entity : entities) {
    Status deleted = store.Delete(entity, std::nullopt);
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
  }
  return {};
}

Status RequireUnused(pg::Transaction& tx, const std::string& name) {
  ASSIGN_OR_RETURN(auto rows,
                   tx.Exec("select 1 from retired_organizations where name = $1", {name}));
  if (rows.empty()) return {};
  return Error{Code::kAlreadyExists, "an organization '" + name +
                                         "' was deleted, and names are not given again; choose "
                                         "another"};
}

}  // namespace

Result<Outcome> CreateOrganization(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, OrganizationDocument(mutation.body));
  RETURN_IF_ERROR(RequireGlobal(tx, mutation.request.principal, "creating an organization"));
  std::string name = mutation.Name();
  RETURN_IF_ERROR(RequireUnused(tx, name));
  auto entity = NewEntity(schema::kOrganizationKind, name, name, std::move(document), mutation.now);
  RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
  return Outcome{std::move(entity)};
}

Result<Outcome> UpdateOrganization(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, OrganizationDocument(mutation.body));
  std::string name = mutation.Name();
  if (mutation.request.principal.org != name) {
    RETURN_IF_ERROR(RequireGlobal(tx, mutation.request.principal, "changing another organization"));
  }
  ASSIGN_OR_RETURN(auto entity, LockOrganization(tx, name));
  entity.document["tags"] = document["tags"];
  entity.document["modifiedTime"] = ToMillis(mutation.now) / 1000;
  RETURN_IF_ERROR(EntityStore(tx).UpdateIfChanged(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

Result<Outcome> DeleteOrganization(pg::Transaction& tx, const Mutation& mutation) {
  RETURN_IF_ERROR(RequireGlobal(tx, mutation.request.principal, "deleting an organization"));
  std::string name = mutation.Name();
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity, LockOrganization(tx, name));
  ASSIGN_OR_RETURN(auto keys, store.List(schema::kApiKeyKind, name));
  ASSIGN_OR_RETURN(auto policies, store.List(schema::kPolicyKind, name));
  ASSIGN_OR_RETURN(auto accounts, store.List(schema::kServiceAccountKind, name));
  std::vector<std::string> global;
  for (const auto& key : keys) {
    if (IsGlobalKey(key)) global.push_back(key.name);
  }
  if (!global.empty()) RETURN_IF_ERROR(KeepAGlobalKey(tx, global));
  RETURN_IF_ERROR(store.Delete(entity, mutation.request.if_match));
  RETURN_IF_ERROR(DeleteAll(store, std::move(keys)));
  RETURN_IF_ERROR(DeleteAll(store, std::move(policies)));
  RETURN_IF_ERROR(DeleteAll(store, std::move(accounts)));
  RETURN_IF_ERROR(tx.Exec("insert into retired_organizations (name) values ($1)", {name}));
  return Outcome{std::move(entity)};
}

}  // namespace dispatch::identity
