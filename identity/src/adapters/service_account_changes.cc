#include "identity/src/adapters/entities.h"
#include "identity/src/adapters/mutation.h"
#include "identity/src/domain/identity_requests.h"
#include "schema/objects.h"
#include "schema/service_account.h"

namespace dispatch::identity {

using schema::kServiceAccountKind;

Result<Outcome> CreateServiceAccount(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, ServiceAccountDocument(mutation.body));
  RETURN_IF_ERROR(LockOrganization(tx, mutation.request.org));
  auto entity = NewEntity(kServiceAccountKind, mutation.request.org, mutation.Name(),
                          std::move(document), mutation.now);
  RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
  return Outcome{std::move(entity)};
}

Result<Outcome> UpdateServiceAccount(pg::Transaction& tx, const Mutation& mutation) {
  ASSIGN_OR_RETURN(auto document, ServiceAccountDocument(mutation.body));
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity,
                   store.Lock(kServiceAccountKind, mutation.request.org, mutation.Name()));
  entity.document.erase("audience");
  for (const auto& [field, value] : document) entity.document[field] = value;
  entity.document["modifiedTime"] = ToMillis(mutation.now) / 1000;
  RETURN_IF_ERROR(store.UpdateIfChanged(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

Result<Outcome> DeleteServiceAccount(pg::Transaction& tx, const Mutation& mutation) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto entity,
                   store.Lock(kServiceAccountKind, mutation.request.org, mutation.Name()));
  RETURN_IF_ERROR(store.Delete(entity, mutation.request.if_match));
  return Outcome{std::move(entity)};
}

}  // namespace dispatch::identity
