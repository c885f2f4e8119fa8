#include "identity/src/adapters/entities.h"
#include "identity/src/adapters/mutation.h"
#include "identity/src/domain/identity_requests.h"
#include "schema/objects.h"

namespace dispatch::identity {

namespace {

using schema::kPolicyKind;

Status RequireGlobalIf(bool global, pg::Transaction& tx, const Mutation& mutation) {
  if (!global) return {};
  return RequireGlobal(tx, mutation.request.principal, "changing a global policy");
}

}  // namespace

Result<Outcome> CreatePolicy(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, PolicyDocument(mutation.body));
  RETURN_IF_ERROR(RequireGlobalIf(json::GetBool(document, "global"), tx, mutation));
  RETURN_IF_ERROR(LockOrganization(tx, mutation.request.org));
  auto entity = NewEntity(kPolicyKind, mutation.request.org, mutation.Name(), std::move(document),
                          mutation.now);
  RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
  return Outcome{std::move(entity)};
}

Result<Outcome> UpdatePolicy(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, PolicyDocument(mutation.body));
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity, store.Lock(kPolicyKind, mutation.request.org, mutation.Name()));
  bool global = json::GetBool(document, "global") || json::GetBool(entity.document, "global");
  RETURN_IF_ERROR(RequireGlobalIf(global, tx, mutation));
  for (const char* field : {"global", "rules", "tags"}) entity.document[field] = document[field];
  entity.document["modifiedTime"] = ToMillis(mutation.now) / 1000;
  RETURN_IF_ERROR(store.UpdateIfChanged(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

Result<Outcome> DeletePolicy(pg::Transaction& tx, const Mutation& mutation) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity, store.Lock(kPolicyKind, mutation.request.org, mutation.Name()));
  RETURN_IF_ERROR(RequireGlobalIf(json::GetBool(entity.document, "global"), tx, mutation));
  RETURN_IF_ERROR(store.Delete(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

}  // namespace dispatch::identity
