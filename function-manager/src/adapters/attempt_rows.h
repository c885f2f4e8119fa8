#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/pg/pool.h"
#include "function-manager/src/adapters/attempt_slices.h"
#include "function-manager/src/domain/attempt_block.h"
#include "function-manager/src/domain/attempt_page.h"

namespace dispatch {

/// Writes attempts: failures row by row, successes in blocks. Fails when a slice is gone.
Status WriteAttempts(pg::Transaction& tx, const OpenSlices& slices,
                     const std::vector<Attempt>& failures, const std::vector<AttemptBlock>& blocks);

/// What is recorded of one event, by subscription and time; 10,000 at most.
Result<std::vector<Attempt>> ReadAttemptsAt(pg::Transaction& tx, const std::string& org,
                                            const Uuid& topic, int32_t partition, int64_t offset);

/// A page of what is recorded of a subscription, newest first.
Result<AttemptPage> ReadAttemptsOf(pg::Transaction& tx, const std::string& org,
                                   const Uuid& subscription, const AttemptQuery& query);

}  // namespace dispatch
