#pragma once

#include <vector>

#include "common/pg/pool.h"

namespace dispatch {

/// The migrations of the service that this program is, in order: those that every service database
/// has, then its own. Embedded at build time from schema/sql.
const std::vector<pg::Migration>& Migrations();

}  // namespace dispatch
