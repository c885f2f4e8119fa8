#pragma once

#include <string>

#include "broker-adapters/entities/entity_store.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pg/pool.h"
#include "schema/messages.h"

namespace dispatch::identity {

/// A request to change something, as each change below gets it inside its transaction, on a pool
/// thread. A change may run several times before one is committed.
struct Mutation {
  schema::Request request;
  json::object body;
  WallTime now;
  std::string service_key;

  std::string Name() const { return json::GetString(body, "name"); }
};

struct Outcome {
  StoredEntity entity;
  std::string key_text;  // a new API key: told once, never stored
};

using Change = Result<Outcome> (*)(pg::Transaction& tx, const Mutation& mutation);

// organization_changes.cc. They need a principal that may act in every organisation.
Result<Outcome> CreateOrganization(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> UpdateOrganization(pg::Transaction& tx, const Mutation& mutation);
/// Its keys, policies and service accounts go with it.
Result<Outcome> DeleteOrganization(pg::Transaction& tx, const Mutation& mutation);

// api_key_changes.cc. Keys are found by id or by name.
Result<Outcome> CreateApiKey(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> UpdateApiKey(pg::Transaction& tx, const Mutation& mutation);
/// Revokes it: the others are told that it is REVOKED, then that it is gone.
Result<Outcome> DeleteApiKey(pg::Transaction& tx, const Mutation& mutation);

// service_account_changes.cc
Result<Outcome> CreateServiceAccount(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> UpdateServiceAccount(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> DeleteServiceAccount(pg::Transaction& tx, const Mutation& mutation);

// policy_changes.cc. Global ones need a principal that may act in every organisation.
Result<Outcome> CreatePolicy(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> UpdatePolicy(pg::Transaction& tx, const Mutation& mutation);
Result<Outcome> DeletePolicy(pg::Transaction& tx, const Mutation& mutation);

}  // namespace dispatch::identity
