#pragma once

#include <string>
#include <vector>

#include "broker-adapters/entities/entity_store.h"
#include "common/clock.h"
#include "schema/authorization.h"
#include "schema/messages.h"

namespace dispatch::identity {

/// What is common to all that this service stores: status, times, a new uuid.
StoredEntity NewEntity(const char* kind, std::string org, std::string name, json::object document,
                       WallTime now);

/// The entity of an API key: named by its id, of the secret only the hash.
StoredEntity NewApiKey(const std::string& org, const auth::KeyText& key, json::object document,
                       std::string_view service_key, WallTime now);

/// Whether the entity is an API key that may act in every organisation.
bool IsGlobalKey(const StoredEntity& entity);

/// Locks an organisation, so that it stays while something is added to it.
Result<StoredEntity> LockOrganization(pg::Transaction& tx, const std::string& name);

/// kPermissionDenied unless the principal may act in every organisation. The gateway asks only for
/// rights within one, so who may reach across is decided here, by what the database says of its
/// key.
Status RequireGlobal(pg::Transaction& tx, const schema::Principal& principal,
                     std::string_view what);

/// kConflict when no global key without an expiry would be left once those of `leaving` (ids) are
/// gone: nobody could make one again.
Status KeepAGlobalKey(pg::Transaction& tx, const std::vector<std::string>& leaving);

}  // namespace dispatch::identity
