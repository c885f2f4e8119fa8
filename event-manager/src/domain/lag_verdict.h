#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "event-manager/src/domain/lag_figures.h"
#include "event-manager/src/domain/lag_history.h"

namespace dispatch {

/// All that the verdict on a subscription rests on.
struct LagSituation {
  int64_t now_ms = 0;
  LagFigures figures;
  LagTrend trend;
  ProgressSum progress;
  std::string disabled;          // why it was disabled; empty: it was not
  std::vector<int32_t> unowned;  // partitions with unread events that are nobody's in the group
  std::vector<int64_t> still_since_ms;  // by partition: since when nothing is read; 0: it moves
  bool no_invoker = false;              // no function-manager is in the group that delivers
  int64_t retention_ms = 0;             // of the topic; 0: unlimited or unknown
  bool bounded_bytes = false;           // the topic keeps so many bytes at most
  int64_t target_age_ms = 60'000;       // older than that is too slow
  int64_t most_scheduled = 0;           // of a subscription, without being in the way; 0: unknown
  int64_t most_pending = 0;             // of a subscription, before it is fed no more; 0: no bound
};

enum class LagState {
  kOk,
  kPaused,
  kBusy,           // behind, and catching up
  kSlow,           // behind, and falling further
  kSkewed,         // what is unread is nearly all in one partition
  kFailing,        // some attempts fail, others do not
  kStalled,        // nothing gets through
  kRetentionRisk,  // the log will drop the oldest before it is read
  kLosing,         // the log dropped events before they were read
  kStopped,        // nobody is at work on it
  kDisabled,
};
const char* LagStateName(LagState state);
/// For sorting by pain: the worse, the higher.
int LagSeverity(LagState state);

struct LagVerdict {
  LagState state = LagState::kOk;
  std::string text;                     // a sentence for people
  std::string cause;                    // "503 from http://host"; empty: none known
  int64_t since_ms = 0;                 // since when it is so; 0: unknown or fine
  std::optional<double> drain_seconds;  // 0: nothing is left; none: never, as things are
  /// Until retention passes what is unread, at the soonest; none: nothing is unread, or unknown.
  std::optional<double> retention_seconds;
};

/// Until retention passes the oldest unread event, by its age, or, in a topic bounded by bytes that
/// was cut already, when as much came as lies before it.
std::optional<double> RetentionSeconds(const LagSituation& situation);

/// Burrow's rules on a subscription's own figures (DASHBOARD section 1), with what Burrow cannot
/// know: pauses, circuits, failures and their cause, losses, owners. Pure.
LagVerdict JudgeLag(const LagSituation& situation);

}  // namespace dispatch
