#pragma once

#include <string>
#include <vector>

#include "broker-adapters/entities/entity_store.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch::identity {

struct BootstrapOptions {
  std::string organization;
  std::string key_file;  // empty: refuse a database that needs a first key
  std::string service_key;
};

/// Makes the first organisation and a key that may do everything everywhere, when the database has
/// no organisation yet. Instances that start at once take turns by a lock. The key's text is in its
/// file, durable, before the transaction commits: a crash in between leaves a file whose key the
/// next start takes. Returns what it made; usually nothing.
Result<std::vector<StoredEntity>> Bootstrap(pg::Transaction& tx, const BootstrapOptions& options,
                                            WallTime now);

}  // namespace dispatch::identity
