#pragma once

#include <optional>
#include <string>

#include "broker-adapters/entities/entity_store.h"
#include "common/pg/pool.h"

namespace dispatch {

/// Something that is to be made READY: a row of function_work (decision 0017, 3).
struct FunctionWork {
  Uuid entity;
  std::string kind;
  std::string org;
  std::string name;
  Uuid target;  // what the entity's document names as being made
  int attempts = 0;
};

// Inside the caller's transactions. Who locks an entity and its work locks the entity first.

/// What a change of the entity asks for, in place of what an older change asked for.
Status AddWork(pg::Transaction& tx, const StoredEntity& entity, const Uuid& target);
/// Leases the longest due one for 30 s; one attempt more.
Result<std::optional<FunctionWork>> ClaimWork(pg::Transaction& tx, const std::string& owner);
Status RenewWork(pg::Transaction& tx, const std::string& owner);
/// Gives it back, to be claimed after `seconds`. `forgive`: the attempts so far do not count.
Status DelayWork(pg::Transaction& tx, const FunctionWork& work, int seconds, bool forgive);
/// Gives all of an owner's back at once.
Status ReleaseWork(pg::Transaction& tx, const std::string& owner);
Status EndWork(pg::Transaction& tx, const FunctionWork& work);
Status EndWorkOf(pg::Transaction& tx, const StoredEntity& entity);
/// Those of an organisation that wait for others of it are due now.
Status WakeWork(pg::Transaction& tx, const std::string& org);

}  // namespace dispatch
