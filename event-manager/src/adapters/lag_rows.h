#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/pg/pool.h"
#include "common/uuid.h"
#include "event-manager/src/domain/lag_block.h"

namespace dispatch {

/// The tables lag_minutes and lag_hours. All of it runs in transactions of the pool.
inline constexpr int64_t kLagMinute = 60'000;                 // ms of a row of lag_minutes
inline constexpr int64_t kLagHour = 3'600'000;                // and of lag_hours
inline constexpr int64_t kLagStep = 300'000;                  // between the points of an hour
inline constexpr int64_t kLagMinutesKept = 24 * kLagHour;     // at least; 6 h more at most
inline constexpr int64_t kLagHoursKept = 14 * 24 * kLagHour;  // at least; a day more at most

struct LagRow {
  int64_t begun_ms = 0;
  Uuid subscription;
  std::string looks;  // PackLag
};

/// Makes the partitions for rows from `from_ms` until some hours from now, and drops what is past
/// its time. Fails when another transaction holds the tables for 2 s.
Status TendLagTables(pg::Transaction& tx, int64_t from_ms, int64_t now_ms);

/// Adds minutes, all in one statement.
Status WriteLagMinutes(pg::Transaction& tx, const std::vector<LagRow>& rows);

/// Makes the hour that begins at `hour_ms` of its minutes, unless it is there; false: it was, or
/// there are no minutes.
Result<bool> SumUpLagHour(pg::Transaction& tx, int64_t hour_ms);

/// Points of subscriptions by time, from `from_ms` until before `to_ms`: the looks of minutes, or,
/// not `fine`, those of hours, and of minutes where there is no hour yet. Of a minute that two
/// instances wrote all points are there.
using LagPoints = std::unordered_map<Uuid, std::vector<LagPoint>>;
Result<LagPoints> ReadLagPoints(pg::Transaction& tx, const std::vector<Uuid>& subscriptions,
                                int64_t from_ms, int64_t to_ms, bool fine);

}  // namespace dispatch
