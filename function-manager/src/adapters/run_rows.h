#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/pg/pool.h"
#include "function-manager/src/domain/run.h"

namespace dispatch {

/// The table `runs` inside the caller's transactions. Call on a pool thread.

inline constexpr int kRunLeaseSeconds = 30;

/// In statements of some megabytes each.
Status InsertRuns(pg::Transaction& tx, const std::vector<const Run*>& runs);

/// kNotFound when the organisation has none of that id, or (with a name) not of that function.
Result<Run> FindRun(pg::Transaction& tx, const std::string& org, const Uuid& id,
                    const std::string& function);

struct RunQuery {
  std::string org;
  std::string function;   // empty: all
  std::string status;     // empty: all
  int64_t since_us = 0;   // what was asked for or ended then or later
  std::string before;     // cursor of a page; empty: the first
  size_t limit = 0;       // 0: kMostRuns
  json::array tags = {};  // {"key", "value"}; all must be there
};
inline constexpr size_t kMostRuns = 1'000;
struct RunPage {
  std::vector<Run> runs;  // the newest first
  std::string next;       // empty: no more
};
/// At most kMostRunBytes, but one run at least. kInvalidArgument for a cursor that is none.
Result<RunPage> ListRuns(pg::Transaction& tx, const RunQuery& query);

/// Where somebody stands who follows runs: all changes that transactions below `xid` made are known
/// (decision 0019).
struct RunCursor {
  int64_t time_us = 0;  // of the last look, by the database's clock
  int64_t xid = 0;
  std::string Text() const;
  static Result<RunCursor> Parse(const std::string& text);
};
struct RunChanges {
  std::vector<Run> runs;  // by the time of the change; without input, output and logs
  RunCursor next;
  bool cut = false;  // there were more than kMostRuns
};
/// Runs of the query that were asked for or ended behind `after`, each change once. Without `after`
/// only where to begin, or (with since_us) those since then. Limit and `before` do not matter.
Result<RunChanges> ListRunChanges(pg::Transaction& tx, const RunQuery& query,
                                  const std::optional<RunCursor>& after);

struct ClaimedRun {
  Run run;
  int attempt = 1;  // from 1
};
/// Takes runs that nobody has, the longest waiting first, but none of the functions ("org/name")
/// that are `busy`, and none that are `running` here though their leases ended: those are renewed.
Result<std::vector<ClaimedRun>> ClaimRuns(pg::Transaction& tx, const Uuid& owner, size_t most,
                                          const std::vector<std::string>& busy,
                                          const std::vector<Uuid>& running);
/// Keeps the leases of `runs`.
Status RenewRuns(pg::Transaction& tx, const Uuid& owner, const std::vector<Uuid>& runs);
/// Writes the end of a run that `owner` still has; false when it is another's, or cancelled.
Result<bool> FinishRun(pg::Transaction& tx, const Uuid& owner, const Run& run);
/// Gives back a run whose attempt failed, to be begun again after `delay`.
Status ReleaseRun(pg::Transaction& tx, const Uuid& owner, const Uuid& run,
                  std::chrono::milliseconds delay);
/// Gives back one that its owner has no time for: this was no attempt.
Status GiveBackRun(pg::Transaction& tx, const Uuid& owner, const Uuid& run);
/// Ends a run that has not ended, whoever has it. kConflict when it has.
Result<Run> CancelRun(pg::Transaction& tx, const std::string& org, const Uuid& id, int64_t now_us);

/// Deletes some of those that ended before; how many.
Result<size_t> ForgetRuns(pg::Transaction& tx, int64_t ended_before_us, size_t most);
Status DeleteRunsOf(pg::Transaction& tx, const Uuid& function_id);

}  // namespace dispatch
