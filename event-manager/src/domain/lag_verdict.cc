#include "event-manager/src/domain/lag_verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "common/clock.h"

namespace dispatch {

namespace {

constexpr int64_t kUnreadFor = 2'500;    // by an owner that nothing holds back, ms
constexpr int64_t kStillFor = 2'000;     // meanwhile its place did not change
constexpr int64_t kStallAfter = 30'000;  // nothing settled for so long, ms
constexpr int64_t kStallSoon = 3'000;    // the same, when that many were to be expected meanwhile
constexpr double kExpected = 10;
constexpr int64_t kFailingFor = 3'000;   // after the last failure, when others go well, ms
constexpr int64_t kSkewLeast = 1'000;    // events unread
constexpr double kSkewShare = 0.8;       // of them in one partition
constexpr double kRetentionShare = 0.7;  // of the retention; then the log may pass us
constexpr double kStillRate = 0.01;      // a second; slower is standing still

std::string Count(int64_t count) { return fmt::format("{} event{}", count, count == 1 ? "" : "s"); }

std::string Span(double seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7'200) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{:.1f} h", seconds / 3'600);
  return fmt::format("{:.1f} d", seconds / 86'400);
}

// "10:02 UTC", with the date when that is not within the last half day.
std::string Moment(int64_t ms, int64_t now_ms) {
  int64_t minutes = ms / 60'000;
  std::string clock = fmt::format("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60);
  if (now_ms - ms < 12 * 3'600'000) return clock;
  return fmt::format("{} ({} ago)", clock, Span(static_cast<double>(now_ms - ms) / 1000));
}

double AgeSeconds(const LagSituation& s) {
  if (s.figures.oldest_ms <= 0) return 0;
  return static_cast<double>(std::max<int64_t>(0, s.now_ms - s.figures.oldest_ms)) / 1000;
}

// How long until nothing is outstanding, if all goes on as it does.
std::optional<double> DrainSeconds(const LagSituation& s) {
  if (s.figures.outstanding() == 0) return 0;
  if (s.trend.span_ms <= 0) return std::nullopt;
  double rate = s.trend.settled_rate - std::max(0.0, s.trend.arrival_rate);
  if (rate <= kStillRate) return std::nullopt;
  return static_cast<double>(s.figures.outstanding()) / rate;
}

std::string Since(int64_t since_ms, int64_t now_ms) {
  return since_ms > 0 ? " since " + Moment(since_ms, now_ms) : "";
}

std::string Oldest(const LagSituation& s) {
  double age = AgeSeconds(s);
  return age < 1 ? "" : ", the oldest " + Span(age) + " old";
}

LagVerdict Make(LagState state, std::string text, std::string cause = {}, int64_t since_ms = 0) {
  LagVerdict verdict;
  verdict.state = state;
  verdict.text = std::move(text);
  verdict.cause = std::move(cause);
  verdict.since_ms = since_ms;
  return verdict;
}

// Of a log that is cut by bytes: less than 30 % of it lies before what is unread.
bool NearTheBeginning(const LagSituation& s) {
  return std::any_of(s.figures.partitions.begin(), s.figures.partitions.end(), [](const auto& p) {
    auto kept = static_cast<double>(p.end - p.earliest);
    return p.unread() > 0 && p.earliest > 0 &&
           static_cast<double>(p.next - p.earliest) < (1 - kRetentionShare) * kept;
  });
}

// Partitions that nobody reads: they are nobody's, or their owner died and the group has not found
// that out, or it hangs: what is unread stays unread, and nothing holds it back.
std::vector<int32_t> Abandoned(const LagSituation& s, int64_t* since_ms) {
  std::vector<int32_t> found = s.unowned;
  bool closed = !s.progress.circuit || s.progress.circuit->state == schema::CircuitState::kClosed;
  bool fed = s.most_pending == 0 || 2 * s.figures.under_way() < s.most_pending;
  for (size_t p = 0; p < s.figures.partitions.size() && p < s.still_since_ms.size(); ++p) {
    int64_t still_ms = s.still_since_ms[p];
    int64_t unread_ms = s.figures.partitions[p].next_ms;
    auto partition = static_cast<int32_t>(p);
    bool known = std::find(found.begin(), found.end(), partition) != found.end();
    bool stands = closed && fed && s.figures.mode == LagMode::kLive && still_ms > 0 &&
                  s.now_ms - still_ms >= kStillFor && unread_ms > 0 &&
                  s.now_ms - unread_ms >= kUnreadFor;
    if (stands && !known) found.push_back(partition);
    // The one at its place came when others were read, or later.
    if ((stands || known) && unread_ms > 0 && (*since_ms == 0 || unread_ms < *since_ms)) {
      *since_ms = unread_ms;
    }
  }
  return found;
}

// It does not go on because somebody said so, or because nobody is there.
std::optional<LagVerdict> Standing(const LagSituation& s) {
  if (!s.disabled.empty()) {
    return Make(LagState::kDisabled,
                fmt::format("disabled: {}; {} waiting", s.disabled, Count(s.figures.outstanding())),
                s.disabled);
  }
  if (s.figures.mode == LagMode::kPaused) {
    std::string text = "paused";
    if (s.figures.unread > 0) text += "; " + Count(s.figures.unread) + " unread" + Oldest(s);
    if (s.figures.under_way() > 0) {
      text += "; " + Count(s.figures.under_way()) + " still pending";
    }
    return Make(LagState::kPaused, std::move(text));
  }
  int64_t unread_since_ms = 0;
  if (auto left = Abandoned(s, &unread_since_ms); !left.empty()) {
    std::string cause =
        left.size() == 1 ? fmt::format("no event-manager reads partition {}", left[0])
                         : fmt::format("no event-manager reads {} of its partitions", left.size());
    return Make(LagState::kStopped,
                cause + Since(unread_since_ms, s.now_ms) + "; " + Count(s.figures.unread) +
                    " unread" + Oldest(s),
                cause, unread_since_ms);
  }
  if (s.no_invoker && s.figures.under_way() > 0) {
    std::string cause = "no function-manager delivers";
    if (s.progress.heard_ms > 0) {
      cause += ", none was heard since " + Moment(s.progress.heard_ms, s.now_ms);
    }
    return Make(LagState::kStopped,
                cause + "; " + Count(s.figures.under_way()) + " pending" + Oldest(s), cause,
                s.progress.heard_ms);
  }
  return std::nullopt;
}

// "retention passes the cursor in 2 h", when that is near.
std::optional<std::string> Risk(const LagSituation& s) {
  auto left = RetentionSeconds(s);
  if (!left) return std::nullopt;
  int64_t unread_ms = s.figures.oldest_unread_ms;
  bool old = s.retention_ms > 0 && unread_ms > 0 &&
             static_cast<double>(s.now_ms - unread_ms) >
                 kRetentionShare * static_cast<double>(s.retention_ms);
  if (!old && !(s.bounded_bytes && NearTheBeginning(s))) return std::nullopt;
  return *left < 1 ? "retention passes the cursor at any moment"
                   : "retention passes the cursor in " + Span(*left);
}

std::optional<LagVerdict> Losing(const LagSituation& s) {
  auto risk = Risk(s);
  if (s.trend.lost > 0) {
    std::string text = fmt::format(
        "loses events: retention took {} in the last {}, {} in all", Count(s.trend.lost),
        Span(static_cast<double>(s.trend.span_ms) / 1000), s.figures.lost);
    if (risk) text += "; " + *risk;
    return Make(LagState::kLosing, std::move(text), "retention is shorter than the lag");
  }
  if (!risk) return std::nullopt;
  std::string text = *risk + ": " + Count(s.figures.unread) + " unread" + Oldest(s);
  if (s.figures.lost > 0) text += fmt::format("; {} were lost before", s.figures.lost);
  return Make(LagState::kRetentionRisk, std::move(text), "retention is close");
}

// Nothing failed any more for a while in which attempts went well. What failed before may wait for
// its next attempt for hours.
bool Recovered(const LagSituation& s) {
  int64_t failed_ms = s.progress.last_failure_ms;
  return failed_ms > 0 && s.progress.last_success_ms > failed_ms &&
         s.now_ms - failed_ms >= kFailingFor;
}

// Nothing but retries is left, after an endpoint came back.
std::optional<LagVerdict> Waiting(const LagSituation& s) {
  if (s.figures.retrying == 0 || s.figures.outstanding() > s.figures.retrying) return std::nullopt;
  return Make(LagState::kBusy,
              fmt::format("attempts go well again; {} waiting for the next one{}",
                          Count(s.figures.retrying), Oldest(s)),
              "failed before: " + s.progress.last_failure);
}

// Others of their keys wait for deliveries that fail, or get no answer.
std::optional<LagVerdict> KeysBlock(const LagSituation& s) {
  const schema::Blocked& blocked = s.progress.blocked;
  if (blocked.keys == 0 || blocked.first.empty()) return std::nullopt;
  const schema::BlockingKey& worst = blocked.first.front();
  std::string cause = blocked.keys == 1
                          ? "one key blocks " + Count(blocked.waiting)
                          : fmt::format("{} keys block {}", blocked.keys, Count(blocked.waiting));
  std::string why = worst.last_error.empty() ? "no answer" : worst.last_error;
  std::string next;
  if (worst.next_ms > s.now_ms) {
    next = ", tried again in " + Span(static_cast<double>(worst.next_ms - s.now_ms) / 1000);
  }
  bool all = blocked.waiting + blocked.keys >= s.figures.outstanding();
  return Make(all ? LagState::kStalled : LagState::kFailing,
              fmt::format("{}: {}{}{}; {} waiting{}", cause, why, Since(worst.since_ms, s.now_ms),
                          next, Count(s.figures.outstanding()), Oldest(s)),
              cause, worst.since_ms);
}

// The endpoint, or what stands before it, refuses.
std::optional<LagVerdict> Refused(const LagSituation& s) {
  const auto& progress = s.progress;
  if (progress.circuit && progress.circuit->state != schema::CircuitState::kClosed) {
    bool trying = progress.circuit->state == schema::CircuitState::kHalfOpen;
    return Make(LagState::kStalled,
                fmt::format("circuit {}: {}; {} waiting{}", trying ? "half open" : "open",
                            progress.circuit->reason, Count(s.figures.outstanding()), Oldest(s)),
                progress.circuit->reason, progress.circuit->since_ms);
  }
  if (auto keys = KeysBlock(s)) return keys;
  if (progress.last_failure.empty()) return std::nullopt;
  int64_t since = progress.failing_since_ms;
  // Others got through while these did not.
  bool some_pass = progress.last_success_ms > since;
  if (some_pass && Recovered(s)) return Waiting(s);
  std::string what = progress.last_failure + Since(since, s.now_ms);
  return Make(some_pass ? LagState::kFailing : LagState::kStalled,
              fmt::format("{}; {} retrying{}", what, Count(s.figures.retrying), Oldest(s)),
              progress.last_failure, since);
}

// Nothing more is read before some of it has gone.
std::optional<LagVerdict> Full(const LagSituation& s) {
  if (s.most_scheduled == 0 || s.figures.scheduled < s.most_scheduled || s.figures.unread == 0) {
    return std::nullopt;
  }
  std::string cause = fmt::format("{} are scheduled for later, as many as may be (max-scheduled)",
                                  Count(s.figures.scheduled));
  return Make(LagState::kSlow,
              fmt::format("{}; {} unread{}", cause, Count(s.figures.unread), Oldest(s)), cause);
}

// "3 events (cast, missingAttribute), the last at 10:02 UTC"
std::string Errors(const LagSituation& s) {
  const auto& errors = s.figures.filter_errors;
  std::string kinds;
  for (const auto& [kind, events] : errors.kinds) kinds += (kinds.empty() ? "" : ", ") + kind;
  return fmt::format("{} ({}), the last at {}", Count(errors.events), kinds,
                     Moment(errors.last_ms, s.now_ms));
}

// Nothing is outstanding.
LagVerdict Idle(const LagSituation& s) {
  if (s.figures.matched > 0) {
    return Make(LagState::kOk, s.figures.scheduled > 0 ? "all that is due is delivered"
                                                       : "all is delivered or dead-lettered");
  }
  LagVerdict verdict = Make(LagState::kOk, "nothing has matched yet");
  if (s.figures.filter_errors.events > 0) {
    verdict.text += "; its filters ended with an error for " + Errors(s);
    verdict.cause = "the filters end with errors";
  }
  return verdict;
}

// At the rate of before, several would have been settled since the last one was.
bool StandsStill(const LagTrend& trend) {
  if (trend.unmoved_ms >= kStallAfter && !trend.cleared_lately) return true;
  int64_t moving_ms = trend.span_ms - trend.unmoved_ms;
  if (trend.unmoved_ms < kStallSoon || moving_ms <= 0) return false;
  double settled = trend.settled_rate * static_cast<double>(trend.span_ms) / 1'000;
  return settled * static_cast<double>(trend.unmoved_ms) >=
         kExpected * static_cast<double>(moving_ms);
}

// More readers or partitions would not help it.
std::optional<LagVerdict> Skewed(const LagSituation& s, const std::string& eta) {
  const auto& partitions = s.figures.partitions;
  if (partitions.size() < 2 || s.figures.unread < kSkewLeast) return std::nullopt;
  auto fullest = std::max_element(partitions.begin(), partitions.end(),
                                  [](auto& a, auto& b) { return a.unread() < b.unread(); });
  if (static_cast<double>(fullest->unread()) <=
      kSkewShare * static_cast<double>(s.figures.unread)) {
    return std::nullopt;
  }
  std::string cause =
      fmt::format("partition {} has {} of {} unread events", fullest - partitions.begin(),
                  fullest->unread(), s.figures.unread);
  return Make(LagState::kSkewed, "skewed: " + cause + Oldest(s) + eta, cause);
}

LagVerdict Moving(const LagSituation& s, std::optional<double> drain) {
  const auto& trend = s.trend;
  std::string left = Count(s.figures.outstanding());
  std::string eta = drain ? ", done in about " + Span(*drain) : "";
  if (StandsStill(trend)) {
    int64_t since = s.now_ms - trend.unmoved_ms;
    std::string cause = s.figures.in_flight > 0
                            ? fmt::format("{} in flight without an answer", s.figures.in_flight)
                            : "";
    return Make(LagState::kStalled,
                fmt::format("nothing delivered{}{}{}; {} waiting{}", Since(since, s.now_ms),
                            cause.empty() ? "" : ", ", cause, left, Oldest(s)),
                cause, since);
  }
  if (auto skewed = Skewed(s, eta)) return *skewed;
  double age = AgeSeconds(s);
  bool old = age * 1000 > static_cast<double>(s.target_age_ms);
  if (trend.never_lower && !trend.cleared_lately && old) {
    return Make(
        LagState::kSlow,
        fmt::format("falls behind: {:.1f}/s come, {:.1f}/s go; {} waiting{}",
                    std::max(0.0, trend.arrival_rate), trend.settled_rate, left, Oldest(s)));
  }
  if (old || s.figures.mode == LagMode::kCatchingUp) {
    return Make(LagState::kBusy, fmt::format("catching up: {} left{}{}", left, Oldest(s), eta));
  }
  return Make(LagState::kOk, left + " under way" + Oldest(s));
}

}  // namespace

const char* LagStateName(LagState state) {
  switch (state) {
    case LagState::kOk:
      return "OK";
    case LagState::kPaused:
      return "PAUSED";
    case LagState::kBusy:
      return "BUSY";
    case LagState::kSlow:
      return "SLOW";
    case LagState::kSkewed:
      return "SKEWED";
    case LagState::kFailing:
      return "FAILING";
    case LagState::kStalled:
      return "STALLED";
    case LagState::kRetentionRisk:
      return "RETENTION_RISK";
    case LagState::kLosing:
      return "LOSING";
    case LagState::kStopped:
      return "STOPPED";
    case LagState::kDisabled:
      return "DISABLED";
  }
  return "";
}

int LagSeverity(LagState state) {
  switch (state) {
    case LagState::kOk:
      return 0;
    case LagState::kPaused:
    case LagState::kDisabled:
      return 1;
    case LagState::kBusy:
      return 2;
    case LagState::kSlow:
    case LagState::kSkewed:
    case LagState::kFailing:
      return 3;
    case LagState::kStalled:
      return 4;
    case LagState::kRetentionRisk:
      return 5;
    case LagState::kStopped:
      return 6;
    case LagState::kLosing:
      return 7;
  }
  return 0;
}

std::optional<double> RetentionSeconds(const LagSituation& s) {
  if (s.figures.unread == 0) return std::nullopt;
  std::optional<double> least;
  if (s.retention_ms > 0 && s.figures.oldest_unread_ms > 0) {
    int64_t left = s.figures.oldest_unread_ms + s.retention_ms - s.now_ms;
    least = std::max(0.0, static_cast<double>(left) / 1000);
  }
  if (!s.bounded_bytes || s.trend.log_rate <= kStillRate) return least;
  double rate = s.trend.log_rate / static_cast<double>(s.figures.partitions.size());
  for (const auto& partition : s.figures.partitions) {
    if (partition.unread() == 0 || partition.earliest == 0) continue;
    double left = static_cast<double>(partition.next - partition.earliest) / rate;
    least = std::min(least.value_or(left), left);
  }
  return least;
}

LagVerdict JudgeLag(const LagSituation& s) {
  auto drain = DrainSeconds(s);
  LagVerdict verdict;
  auto standing = Standing(s);
  auto losing = Losing(s);
  if (standing && losing && LagSeverity(losing->state) > LagSeverity(standing->state)) {
    losing->text += "; " + standing->text.substr(0, standing->text.find(';'));
    verdict = *losing;
  } else if (standing) {
    verdict = *standing;
  } else if (losing) {
    verdict = *losing;
  } else if (s.figures.outstanding() == 0) {
    verdict = Idle(s);
    if (s.figures.lost > 0) verdict.text += fmt::format("; {} were lost before", s.figures.lost);
  } else if (auto refused = Refused(s)) {
    verdict = *refused;
  } else if (auto full = Full(s)) {
    verdict = *full;
  } else {
    verdict = Moving(s, drain);
  }
  if (s.figures.scheduled > 0 && verdict.state == LagState::kOk) {
    verdict.text += "; " + Count(s.figures.scheduled) + " scheduled for later";
  }
  verdict.drain_seconds = drain;
  verdict.retention_seconds = RetentionSeconds(s);
  return verdict;
}

}  // namespace dispatch
