#include "event-manager/src/adapters/lag_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/log.h"

namespace dispatch {

namespace {

struct LagTable {
  const char* name;
  int64_t slice_ms;  // of a partition
  int64_t kept_ms;
};
constexpr LagTable kMinutes{"lag_minutes", 6 * kLagHour, kLagMinutesKept};
constexpr LagTable kHours{"lag_hours", 24 * kLagHour, kLagHoursKept};

// Whoever waits for a reader makes all later readers wait.
constexpr char kLock[] = R"(
  set local lock_timeout = '2s';
  select pg_advisory_xact_lock(7305912045))";

constexpr char kSlices[] = R"(
  select substring(c.relname from '[0-9]+$')::bigint
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = to_regclass($1))";

constexpr char kWrite[] = R"(
  insert into {} (begun_ms, subscription, looks)
  select * from unnest($1::bigint[], $2::uuid[], $3::bytea[]))";

constexpr char kHourThere[] = R"(
  select 1 from lag_hours where begun_ms = $1::bigint limit 1)";

constexpr char kMinutesOf[] = R"(
  select subscription, begun_ms, looks from lag_minutes
  where begun_ms >= $1::bigint and begun_ms < $2::bigint order by subscription, begun_ms)";

constexpr char kRead[] = R"(
  select subscription, begun_ms, looks from {}
  where subscription = any($1::uuid[]) and begun_ms >= $2::bigint and begun_ms < $3::bigint
  order by subscription, begun_ms)";

int64_t SliceOf(const LagTable& table, int64_t ms) { return ms / table.slice_ms; }

Status Tend(pg::Transaction& tx, const LagTable& table, int64_t from_ms, int64_t now_ms) {
  std::string script;
  // The next one too, so that it is there in time.
  int64_t first = SliceOf(table, std::clamp(from_ms, now_ms - table.kept_ms, now_ms));
  for (int64_t slice = first; slice <= SliceOf(table, now_ms) + 1; ++slice) {
    script += fmt::format(
        "create table if not exists {0}_{1} partition of {0} for values from ({2}) to ({3});",
        table.name, slice, slice * table.slice_ms, (slice + 1) * table.slice_ms);
  }
  ASSIGN_OR_RETURN(auto slices, tx.Exec(kSlices, {table.name}));
  for (size_t i = 0; i < slices.size(); ++i) {
    int64_t slice = slices[i].Int(0);
    if ((slice + 1) * table.slice_ms > now_ms - table.kept_ms) continue;
    script += fmt::format("drop table {}_{};", table.name, slice);
    log::Info("lag history dropped table={}_{}", table.name, slice);
  }
  return tx.ExecScript(script);
}

Status Write(pg::Transaction& tx, const LagTable& table, const std::vector<LagRow>& rows) {
  if (rows.empty()) return {};
  std::vector<pg::Value> begun;
  std::vector<pg::Value> subscriptions;
  std::vector<pg::Value> looks;
  for (const auto& row : rows) {
    begun.emplace_back(std::to_string(row.begun_ms));
    subscriptions.emplace_back(row.subscription.ToString());
    looks.emplace_back(pg::EncodeBytea(row.looks));
  }
  return tx
      .Exec(fmt::format(kWrite, table.name),
            {pg::EncodeArray(begun), pg::EncodeArray(subscriptions), pg::EncodeArray(looks)})
      .status();
}

// Adds the points of rows as `subscription, begun_ms, looks` to those of their subscriptions.
Status TakeRows(const pg::Rows& rows, LagPoints& points) {
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSIGN_OR_RETURN(Uuid subscription, Uuid::Parse(rows[i].Text(0)));
    ASSIGN_OR_RETURN(auto some, UnpackLag(rows[i].Int(1), rows[i].Bytes(2)));
    auto& all = points[subscription];
    all.insert(all.end(), some.begin(), some.end());
  }
  return {};
}

void SortByTime(LagPoints& points) {
  for (auto& [subscription, all] : points) {
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.at_ms < b.at_ms; });
  }
}

}  // namespace

Status TendLagTables(pg::Transaction& tx, int64_t from_ms, int64_t now_ms) {
  RETURN_IF_ERROR(tx.ExecScript(kLock));
  RETURN_IF_ERROR(Tend(tx, kMinutes, from_ms, now_ms));
  // An hour is made of minutes that are there.
  return Tend(tx, kHours, now_ms - kLagMinutesKept, now_ms);
}

Status WriteLagMinutes(pg::Transaction& tx, const std::vector<LagRow>& rows) {
  return Write(tx, kMinutes, rows);
}

Result<bool> SumUpLagHour(pg::Transaction& tx, int64_t hour_ms) {
  std::string from = std::to_string(hour_ms);
  RETURN_IF_ERROR(tx.ExecScript(kLock));
  ASSIGN_OR_RETURN(auto there, tx.Exec(kHourThere, {from}));
  if (!there.empty()) return false;
  ASSIGN_OR_RETURN(auto minutes, tx.Exec(kMinutesOf, {from, std::to_string(hour_ms + kLagHour)}));
  LagPoints points;
  RETURN_IF_ERROR(TakeRows(minutes, points));
  SortByTime(points);
  std::vector<LagRow> rows;
  for (const auto& [subscription, all] : points) {
    rows.push_back({hour_ms, subscription, PackLag(hour_ms, CoarsenLag(all, kLagStep))});
  }
  RETURN_IF_ERROR(Write(tx, kHours, rows));
  return !rows.empty();
}

Result<LagPoints> ReadLagPoints(pg::Transaction& tx, const std::vector<Uuid>& subscriptions,
                                int64_t from_ms, int64_t to_ms, bool fine) {
  std::vector<pg::Value> ids;
  for (const auto& subscription : subscriptions) ids.emplace_back(subscription.ToString());
  std::string array = pg::EncodeArray(ids);
  auto read = [&](const LagTable& table, int64_t from, LagPoints& points) -> Status {
    ASSIGN_OR_RETURN(auto rows, tx.Exec(fmt::format(kRead, table.name),
                                        {array, std::to_string(from), std::to_string(to_ms)}));
    return TakeRows(rows, points);
  };
  LagPoints points;
  if (!fine) RETURN_IF_ERROR(read(kHours, from_ms / kLagHour * kLagHour, points));
  int64_t until_ms = from_ms;  // all of it in hours
  for (const auto& [subscription, all] : points) {
    until_ms = std::max(until_ms, all.back().at_ms / kLagHour * kLagHour + kLagHour);
  }
  LagPoints minutes;
  RETURN_IF_ERROR(read(kMinutes, until_ms / kLagMinute * kLagMinute, minutes));
  for (auto& [subscription, some] : minutes) {
    auto& all = points[subscription];
    all.insert(all.end(), some.begin(), some.end());
  }
  SortByTime(points);
  for (auto& [subscription, all] : points) {
    std::erase_if(all, [&](const auto& p) { return p.at_ms < from_ms || p.at_ms >= to_ms; });
  }
  return points;
}

}  // namespace dispatch
