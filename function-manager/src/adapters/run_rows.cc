#include "function-manager/src/adapters/run_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "function-manager/src/adapters/columns.h"

namespace dispatch {

namespace {

#define DISPATCH_RUN_COLUMNS \
  " id, org, function, function_id, faas_id, status, request, outcome, executed_us, finished_us "
// An input may have a NUL, which jsonb has no place for.
#define DISPATCH_TAGS R"((replace(request, '\u0000', '\ufffd')::jsonb)->'tags')"
#define DISPATCH_NOW_US " (extract(epoch from clock_timestamp()) * 1000000)::bigint "

constexpr char kInsert[] = "insert into runs (" DISPATCH_RUN_COLUMNS R"()
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[],
    $7::text[], $8::text[], $9::bigint[], $10::bigint[]))";

constexpr size_t kInsertBytes = 4 * 1024 * 1024;

constexpr char kFind[] = "select" DISPATCH_RUN_COLUMNS R"(from runs
  where id = $1::uuid and org = $2 and ($3 = '' or function = $3))";

// As many as $7 bytes hold, but one at least: "bytes" is what those before it and the row itself
// have as JSON, "found" how many there would be without that bound. Nothing beyond it is read.
constexpr char kListHead[] = "select" DISPATCH_RUN_COLUMNS R"(, found from (
  select *, count(*) over () as found, row_number() over newest as place,
    sum(octet_length(request) + octet_length(outcome) + 600) over newest as bytes
  from (select * from runs where org = $1)";
constexpr char kListRest[] = R"( and ($2 = '' or status = $2)
    and (executed_us >= $3::bigint or finished_us >= $3::bigint)
    and (executed_us, id) < ($4::bigint, $5::uuid)
  order by executed_us desc, id desc limit $6::int) matching
  window newest as (order by executed_us desc, id desc rows unbounded preceding)) counted
  where place = 1 or bytes <= $7::bigint order by place)";

// A transaction below the horizon has ended: what it wrote is seen by every later statement.
constexpr char kHorizon[] = "select pg_snapshot_xmin(pg_current_snapshot())::text," DISPATCH_NOW_US;

// $4 is the horizon. A row's xmin has the lower 32 bits of the transaction that wrote it last; the
// horizon is nearer to it than 2^31. Times bound what the indexes give: a change is written at most
// a minute behind its time.
constexpr char kChanges[] = R"(
  select id, org, function, function_id, faas_id, status, '{}',
    case when status = 'ERROR' then outcome else '{}' end, executed_us, finished_us
  from runs where org = $1 and ($2 = '' or function = $2) and ($3 = '' or status = $3)
    and ($8 = '[]' or )" DISPATCH_TAGS R"( @> $8::jsonb)
    and (executed_us >= $6::bigint or finished_us >= $6::bigint)
    and $4::bigint + (xmin::text::bigint - $4::bigint % 4294967296 + 6442450944) % 4294967296
      - 2147483648 between $5::bigint and $4::bigint - 1
  order by greatest(executed_us, finished_us), id limit $7::int)";
constexpr int64_t kLatestWriteUs = 60'000'000;

constexpr char kClaim[] = R"(
  update runs set status = 'CREATING', owner = $1::uuid, attempts = attempts + 1,
    lease_us =)" DISPATCH_NOW_US R"(+ $2::bigint
  where id in (select id from runs where status in ('INITIALIZED', 'CREATING')
      and lease_us <)" DISPATCH_NOW_US R"(and not (org || '/' || function = any($4::text[]))
      and not (id = any($5::uuid[]))
    order by lease_us, executed_us limit $3::int for update skip locked)
  returning)" DISPATCH_RUN_COLUMNS ", attempts";

constexpr char kRenew[] = "update runs set lease_us =" DISPATCH_NOW_US R"(+ $2::bigint
  where owner = $1::uuid and id = any($3::uuid[]) and status = 'CREATING')";

constexpr char kFinish[] = R"(
  update runs set status = $3, outcome = $4, finished_us = $5::bigint, faas_id = $6::uuid,
    owner = null
  where id = $1::uuid and owner = $2::uuid and status = 'CREATING')";

constexpr char kRelease[] = R"(
  update runs set status = 'INITIALIZED', owner = null, lease_us =)" DISPATCH_NOW_US
                            R"(+ $3::bigint,
    attempts = attempts - $4::int
  where id = $1::uuid and owner = $2::uuid and status = 'CREATING')";

constexpr char kCancel[] = R"(
  update runs set status = 'ERROR', outcome = $3, finished_us = $4::bigint, owner = null
  where id = $1::uuid and org = $2 and status in ('INITIALIZED', 'CREATING')
  returning)" DISPATCH_RUN_COLUMNS;

constexpr char kForget[] = R"(
  delete from runs where id in (select id from runs
    where finished_us > 0 and finished_us < $1::bigint order by finished_us limit $2::int))";

constexpr char kDeleteOf[] = "delete from runs where function_id = $1::uuid";

json::object Document(const std::string& text) {
  auto document = json::ParseObject(text);
  return document.ok() ? std::move(*document) : json::object();
}

Run ReadRun(const pg::Row& row) {
  Run run;
  run.id = ReadUuid(row, 0);
  run.org = row.Text(1);
  run.function = row.Text(2);
  run.function_id = ReadUuid(row, 3);
  run.faas_id = ReadUuid(row, 4);
  run.status = row.Text(5);
  run.request = RequestOf(Document(row.Text(6)));
  run.outcome = OutcomeOf(Document(row.Text(7)));
  run.executed_us = row.Int(8);
  run.finished_us = row.Int(9);
  return run;
}

std::string LeaseUs() { return std::to_string(int64_t{kRunLeaseSeconds} * 1'000'000); }

std::string Uuids(const std::vector<Uuid>& ids) {
  std::vector<pg::Value> texts;
  for (const Uuid& id : ids) texts.emplace_back(id.ToString());
  return pg::EncodeArray(texts);
}

// "executed_us.id"
Result<std::pair<int64_t, Uuid>> ReadCursor(const std::string& text) {
  Error fault{Code::kInvalidArgument, "cursor: give what the Link of the page before has"};
  size_t dot = text.find('.');
  if (dot == std::string::npos) return fault;
  int64_t time = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + dot, time);
  auto id = Uuid::Parse(text.substr(dot + 1));
  if (bad != std::errc() || end != text.data() + dot || !id.ok()) return fault;
  return std::pair(time, *id);
}

}  // namespace

Status InsertRuns(pg::Transaction& tx, const std::vector<const Run*>& runs) {
  for (auto next = runs.begin(); next != runs.end();) {
    Columns columns(10);
    for (size_t bytes = 0; next != runs.end() && bytes < kInsertBytes; ++next) {
      const Run& run = **next;
      std::string request = json::Serialize(RequestDocument(run.request));
      std::string outcome = json::Serialize(OutcomeDocument(run.outcome));
      bytes += request.size() + outcome.size();
      columns.Text(run.id.ToString())
          .Text(run.org)
          .Text(run.function)
          .Text(run.function_id.ToString())
          .Text(run.faas_id.ToString())
          .Text(run.status)
          .Text(std::move(request))
          .Text(std::move(outcome))
          .Int(run.executed_us)
          .Int(run.finished_us);
    }
    RETURN_IF_ERROR(tx.Exec(kInsert, columns.Arrays()).status());
  }
  return {};
}

Result<Run> FindRun(pg::Transaction& tx, const std::string& org, const Uuid& id,
                    const std::string& function) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kFind, {id.ToString(), org, function}));
  if (!rows.empty()) return ReadRun(rows[0]);
  return Error{Code::kNotFound,
               fmt::format("run {} does not exist{}: it never did, or was kept its time",
                           id.ToString(), function.empty() ? "" : " of function " + function)};
}

Result<RunPage> ListRuns(pg::Transaction& tx, const RunQuery& query) {
  std::pair<int64_t, Uuid> before{std::numeric_limits<int64_t>::max(), Uuid{}};
  if (!query.before.empty()) {
    ASSIGN_OR_RETURN(before, ReadCursor(query.before));
  }
  size_t limit = query.limit == 0 ? kMostRuns : std::min(query.limit, kMostRuns);
  std::vector<pg::Value> parameters{query.org,
                                    query.status,
                                    std::to_string(query.since_us),
                                    std::to_string(before.first),
                                    before.second.ToString(),
                                    std::to_string(limit + 1),
                                    std::to_string(kMostRunBytes)};
  // Two texts, so that each has its index.
  std::string sql = kListHead;
  if (!query.function.empty()) {
    sql += " and function = $8";
    parameters.emplace_back(query.function);
  }
  if (!query.tags.empty()) {
    sql += fmt::format(" and " DISPATCH_TAGS " @> ${}::jsonb", parameters.size() + 1);
    parameters.emplace_back(json::Serialize(json::value(query.tags)));
  }
  ASSIGN_OR_RETURN(auto rows, tx.Exec(sql + kListRest, parameters));
  RunPage page;
  for (size_t i = 0; i < std::min(rows.size(), limit); ++i) page.runs.push_back(ReadRun(rows[i]));
  if (!rows.empty() && page.runs.size() < static_cast<size_t>(rows[0].Int(10))) {
    const Run& last = page.runs.back();
    page.next = fmt::format("{}.{}", last.executed_us, last.id.ToString());
  }
  return page;
}

std::string RunCursor::Text() const { return fmt::format("{}.{}", time_us, xid); }

Result<RunCursor> RunCursor::Parse(const std::string& text) {
  RunCursor cursor;
  const char* end = text.data() + text.size();
  auto time = std::from_chars(text.data(), end, cursor.time_us);
  if (time.ec == std::errc() && time.ptr != end && *time.ptr == '.') {
    auto xid = std::from_chars(time.ptr + 1, end, cursor.xid);
    if (xid.ec == std::errc() && xid.ptr == end && cursor.time_us >= 0 && cursor.xid >= 0) {
      return cursor;
    }
  }
  return Error{Code::kInvalidArgument, "Last-Event-ID: give the id of an event of this stream"};
}

Result<RunChanges> ListRunChanges(pg::Transaction& tx, const RunQuery& query,
                                  const std::optional<RunCursor>& after) {
  ASSIGN_OR_RETURN(auto horizon, tx.Exec(kHorizon, {}));
  RunChanges changes;
  changes.next = {horizon[0].Int(1), horizon[0].Int(0)};
  if (!after && query.since_us == 0) return changes;
  RunCursor from = after.value_or(RunCursor{query.since_us + kLatestWriteUs, 0});
  // Of another database, or one that was restored: its times are what is left.
  if (from.xid > changes.next.xid) from.xid = 0;
  ASSIGN_OR_RETURN(
      auto rows,
      tx.Exec(kChanges, {query.org, query.function, query.status, std::to_string(changes.next.xid),
                         std::to_string(from.xid), std::to_string(from.time_us - kLatestWriteUs),
                         std::to_string(kMostRuns + 1), json::Serialize(json::value(query.tags))}));
  changes.cut = rows.size() > kMostRuns;
  for (size_t i = 0; i < std::min(rows.size(), kMostRuns); ++i) {
    changes.runs.push_back(ReadRun(rows[i]));
    changes.runs.back().outcome.out.clear();
    changes.runs.back().outcome.err.clear();
  }
  return changes;
}

Result<std::vector<ClaimedRun>> ClaimRuns(pg::Transaction& tx, const Uuid& owner, size_t most,
                                          const std::vector<std::string>& busy,
                                          const std::vector<Uuid>& running) {
  std::vector<pg::Value> functions(busy.begin(), busy.end());
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kClaim, {owner.ToString(), LeaseUs(), std::to_string(most),
                                               pg::EncodeArray(functions), Uuids(running)}));
  std::vector<ClaimedRun> claimed;
  for (size_t i = 0; i < rows.size(); ++i) {
    claimed.push_back({ReadRun(rows[i]), static_cast<int>(rows[i].Int(10))});
  }
  return claimed;
}

Status RenewRuns(pg::Transaction& tx, const Uuid& owner, const std::vector<Uuid>& runs) {
  return tx.Exec(kRenew, {owner.ToString(), LeaseUs(), Uuids(runs)}).status();
}

Result<bool> FinishRun(pg::Transaction& tx, const Uuid& owner, const Run& run) {
  ASSIGN_OR_RETURN(auto done,
                   tx.Exec(kFinish, {run.id.ToString(), owner.ToString(), run.status,
                                     json::Serialize(OutcomeDocument(run.outcome)),
                                     std::to_string(run.finished_us), run.faas_id.ToString()}));
  return done.affected() > 0;
}

Status ReleaseRun(pg::Transaction& tx, const Uuid& owner, const Uuid& run,
                  std::chrono::milliseconds delay) {
  return tx
      .Exec(kRelease, {run.ToString(), owner.ToString(), std::to_string(delay.count() * 1000), "0"})
      .status();
}

Status GiveBackRun(pg::Transaction& tx, const Uuid& owner, const Uuid& run) {
  return tx.Exec(kRelease, {run.ToString(), owner.ToString(), "0", "1"}).status();
}

Result<Run> CancelRun(pg::Transaction& tx, const std::string& org, const Uuid& id, int64_t now_us) {
  RunOutcome outcome;
  outcome.error = RunError{kSystemError, "the run was cancelled", {}};
  ASSIGN_OR_RETURN(auto rows,
                   tx.Exec(kCancel, {id.ToString(), org, json::Serialize(OutcomeDocument(outcome)),
                                     std::to_string(now_us)}));
  if (!rows.empty()) return ReadRun(rows[0]);
  ASSIGN_OR_RETURN(auto run, FindRun(tx, org, id, ""));
  return Error{Code::kConflict,
               fmt::format("run {} ended before: it is {}", id.ToString(), run.status)};
}

Result<size_t> ForgetRuns(pg::Transaction& tx, int64_t ended_before_us, size_t most) {
  ASSIGN_OR_RETURN(auto gone,
                   tx.Exec(kForget, {std::to_string(ended_before_us), std::to_string(most)}));
  return gone.affected();
}

Status DeleteRunsOf(pg::Transaction& tx, const Uuid& function_id) {
  return tx.Exec(kDeleteOf, {function_id.ToString()}).status();
}

}  // namespace dispatch
