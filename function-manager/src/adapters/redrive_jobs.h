#pragma once

#include <cstdint>
#include <vector>

#include "common/pg/pool.h"
#include "function-manager/src/domain/invoke_store.h"

namespace dispatch {

/// The redrives in PostgreSQL, inside the caller's transactions. Locks are taken in this order:
/// checkpoints, redrives by id, dead letters.

/// Chooses letters for the redrives under way, as their rates allow and not too many ahead of those
/// who take them, and ends the redrives that have none left. False: none is under way.
Result<bool> AdvanceRedrives(pg::Transaction& tx, int64_t now_ms);

/// Letters of the partitions that redrives chose, fairly between them and at most some megabytes,
/// without those whose deliveries are in the retry store still.
Result<std::vector<ChosenLetter>> ReadChosen(pg::Transaction& tx,
                                             const std::vector<int32_t>& partitions);

/// Takes the letters of the saves out of the index for good, and counts them. Answers the rows of
/// those that are no longer chosen and were not taken by us before: then the transaction must fail.
Result<std::vector<std::pair<int32_t, schema::DeliveryId>>> TakeChosen(
    pg::Transaction& tx, const std::vector<const InvokeSave*>& saves);

}  // namespace dispatch
