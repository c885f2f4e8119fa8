#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace dispatch::broker::kafka {

/// When the group's coordinator last confirmed a member. librdkafka does not tell of heartbeats,
/// but its statistics (every second) tell the group's state and how long ago the connection to the
/// coordinator last received something. On that connection (a logical broker of its own) come only
/// answers to heartbeats, joins and commits. One that says that the member is unknown mostly
/// changes the state at once, on the thread that makes the statistics; when it answers a commit it
/// may not, so whoever commits has to look (GroupCore::Doubt). So: while the group is up and the
/// member has an assignment or is changing it, the last receipt is the last confirmation. In all
/// other states nothing is confirmed and the age just goes on.
///
/// The statistics count in CLOCK_MONOTONIC, which stands still while the machine sleeps; the
/// difference to CLOCK_BOOTTIME only grows. An earlier difference is used, so that time asleep
/// makes the confirmation older, never younger.
class Membership {
 public:
  /// Call at least once a second, and before OnStatistics.
  void OnTick(SteadyTime now);
  /// `epoch`: of a KIP-848 member, above 0 once it joined; 0 with the classic protocol.
  void OnStatistics(std::string_view json, int32_t epoch);
  /// Who is no member has not got on with becoming one for 30 s, or with giving back what it had
  /// for 15 s: librdkafka waits for something that does not come. Without a broker, of which it may
  /// have forgotten all, for 60 s. Call with each statistics.
  bool Stuck(std::string_view json, int32_t epoch, SteadyTime now);
  /// Thrown out, left, or the handle is another.
  void Reset();
  /// Duration::max() when never confirmed.
  Duration Age(SteadyTime now) const;

  /// The receipt in CLOCK_MONOTONIC microseconds, if these statistics confirm the membership.
  static std::optional<int64_t> ConfirmedAt(std::string_view json, int32_t epoch);

  /// A member at rest has heard nothing from its coordinator for `at_least`: longer than any
  /// session, so it is none any more, and librdkafka has not found out.
  static bool Unanswered(std::string_view json, int32_t epoch, Duration at_least);

  /// The coordinator has been there for `at_least` and nothing was ever asked of it: what
  /// librdkafka does, without an error, when the brokers know an older KIP-848 than it does (before
  /// Kafka 4.0).
  static bool NothingAsked(std::string_view json, Duration at_least);

 private:
  int64_t asleep_before_ = 0;  // boot time - monotonic time, one tick ago
  int64_t asleep_ = 0;         // at this tick
  std::optional<SteadyTime> confirmed_;
  std::string step_;  // of joining or leaving, seen last; empty: a member
  SteadyTime step_since_;
};

}  // namespace dispatch::broker::kafka
