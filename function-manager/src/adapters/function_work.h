#pragma once

#include <optional>
#include <string>
#include <vector>

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
  std::string owner;
  int attempts = 0;
};

// Inside the caller's transactions. Who locks an entity and its work locks the entity first.

/// What a change of the entity asks for, in place of what an older change asked for.
Status AddWork(pg::Transaction& tx, const StoredEntity& entity, const Uuid& target);
/// Leases one for 30 s; one attempt more. `under_way`: the organisations of what the owner has,
/// each as often as it has of it. Of the organisations the one with the least comes first, then
/// what is due longest; none gets more than `most`.
Result<std::optional<FunctionWork>> ClaimWork(pg::Transaction& tx, const std::string& owner,
                                              const std::vector<std::string>& under_way, int most);
/// Only those of the owner's that have one of the targets: what it lost sight of is claimed again.
Status RenewWork(pg::Transaction& tx, const std::string& owner, const std::vector<Uuid>& targets);
/// Gives it back, to be claimed after `seconds`, if it is still its owner's. `forgive`: the
/// attempts so far do not count.
Status DelayWork(pg::Transaction& tx, const FunctionWork& work, int seconds, bool forgive);
/// Gives all of an owner's back at once.
Status ReleaseWork(pg::Transaction& tx, const std::string& owner);
Status EndWork(pg::Transaction& tx, const FunctionWork& work);
Status EndWorkOf(pg::Transaction& tx, const StoredEntity& entity);
/// Those of an organisation that wait for others of it are due now.
Status WakeWork(pg::Transaction& tx, const std::string& org);

}  // namespace dispatch
