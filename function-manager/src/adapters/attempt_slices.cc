#include "function-manager/src/adapters/attempt_slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/log.h"

namespace dispatch {

namespace {

constexpr int64_t kSlicesOfTime = 12;
constexpr int64_t kSlicesOfBytes = 8;

// Whoever waits for a reader makes all later readers wait.
constexpr char kLock[] = R"(
  set local lock_timeout = '2s';
  select pg_advisory_xact_lock(7305912044))";

constexpr char kSlices[] = R"(
  select slice, kind, begun_ms, ended_ms,
    coalesce(pg_total_relation_size(to_regclass('attempt_blocks_' || slice)), 0)
  from attempt_slices order by slice)";

constexpr char kEnd[] = R"(
  update attempt_slices set ended_ms = $2::bigint where slice = $1::bigint)";
constexpr char kBegin[] = R"(
  insert into attempt_slices (kind, begun_ms) values ($1, $2::bigint) returning slice)";
constexpr char kForget[] = "delete from attempt_slices where slice = $1::bigint";

struct Slice {
  int64_t slice = 0;
  bool kept = false;
  int64_t begun_ms = 0;
  int64_t ended_ms = -1;
  int64_t bytes = 0;
};

Result<int64_t> Begin(pg::Transaction& tx, bool kept, int64_t now_ms) {
  ASSIGN_OR_RETURN(auto row, tx.Exec(kBegin, {kept ? "kept" : "window", std::to_string(now_ms)}));
  int64_t slice = row[0].Int(0);
  std::string script = fmt::format(
      "create table attempt_blocks_{0} partition of attempt_blocks for values in ({0});", slice);
  if (kept) {
    script +=
        fmt::format("create table attempts_{0} partition of attempts for values in ({0});", slice);
  }
  RETURN_IF_ERROR(tx.ExecScript(script));
  return slice;
}

Status Drop(pg::Transaction& tx, const Slice& slice) {
  RETURN_IF_ERROR(tx.ExecScript(
      fmt::format("drop table if exists attempts_{0}, attempt_blocks_{0}", slice.slice)));
  log::Info("attempts dropped slice={} kind={}", slice.slice, slice.kept ? "kept" : "window");
  return tx.Exec(kForget, {std::to_string(slice.slice)}).status();
}

}  // namespace

Result<OpenSlices> TendSlices(pg::Transaction& tx, const SliceLimits& limits, int64_t now_ms) {
  RETURN_IF_ERROR(tx.ExecScript(kLock));
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kSlices));
  std::vector<Slice> slices;
  int64_t window_bytes = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = rows[i];
    Slice slice{row.Int(0), row.Text(1) == "kept", row.Int(2), row.IsNull(3) ? -1 : row.Int(3),
                row.Int(4)};
    if (!slice.kept) window_bytes += slice.bytes;
    slices.push_back(slice);
  }
  OpenSlices open;
  for (const Slice& slice : slices) {
    auto lasts = (slice.kept ? limits.kept : limits.window).count();
    if (slice.ended_ms >= 0) {
      bool over = slice.ended_ms < now_ms - lasts;
      bool many = !slice.kept && window_bytes > limits.window_bytes;
      if (!over && !many) continue;
      RETURN_IF_ERROR(Drop(tx, slice));
      if (!slice.kept) window_bytes -= slice.bytes;
    } else if (now_ms - slice.begun_ms >= lasts / kSlicesOfTime ||
               (!slice.kept && slice.bytes >= limits.window_bytes / kSlicesOfBytes)) {
      RETURN_IF_ERROR(tx.Exec(kEnd, {std::to_string(slice.slice), std::to_string(now_ms)}));
    } else {
      (slice.kept ? open.kept : open.window) = slice.slice;
    }
  }
  if (open.kept == 0) {
    ASSIGN_OR_RETURN(open.kept, Begin(tx, true, now_ms));
  }
  if (open.window == 0) {
    ASSIGN_OR_RETURN(open.window, Begin(tx, false, now_ms));
  }
  return open;
}

}  // namespace dispatch
