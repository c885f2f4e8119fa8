#include "identity/src/adapters/bootstrap.h"

#include <fmt/format.h>

#include "identity/src/adapters/entities.h"
#include "identity/src/adapters/key_file.h"
#include "schema/objects.h"

namespace dispatch::identity {

Result<std::vector<StoredEntity>> Bootstrap(pg::Transaction& tx, const BootstrapOptions& options,
                                            WallTime now) {
  std::vector<StoredEntity> made;
  RETURN_IF_ERROR(tx.Exec("select pg_advisory_xact_lock(hashtext('dispatch bootstrap'))"));
  ASSIGN_OR_RETURN(auto any, tx.Exec("select 1 from entities where kind = $1 limit 1",
                                     {std::string(schema::kOrganizationKind)}));
  if (!any.empty()) return made;
  const std::string& org = options.organization;
  if (!schema::IsOrganizationName(org)) {
    return Error{Code::kInvalidArgument,
                 fmt::format("'{}' cannot be the name of an organization: lower-case letters, "
                             "digits and '-' (setting bootstrap-organization)",
                             org)};
  }
  if (options.key_file.empty()) {
    return Error{Code::kInvalidArgument,
                 "this installation has no organization yet: say with bootstrap-key-file where its "
                 "first API key is to be written"};
  }
  ASSIGN_OR_RETURN(auto key, EnsureKeyFile(options.key_file));
  made.push_back(NewEntity(schema::kOrganizationKind, org, org,
                           {{"name", org}, {"kind", "Organization"}, {"tags", json::array()}},
                           now));
  made.push_back(NewApiKey(
      org, key,
      {{"name", "bootstrap"}, {"kind", "Key"}, {"scopes", json::array{"admin"}}, {"global", true}},
      options.service_key, now));
  for (StoredEntity& entity : made) RETURN_IF_ERROR(EntityStore(tx).Insert(entity));
  return made;
}

}  // namespace dispatch::identity
