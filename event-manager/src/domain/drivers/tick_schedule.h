#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/uuid.h"
#include "event-manager/src/domain/drivers/cron.h"

namespace dispatch {

/// Where a driver that ticks stands, as it is kept in PostgreSQL. All times are seconds since the
/// epoch.
struct TickPosition {
  std::string schedule;  // what the rest is about: another one begins anew
  int64_t begin = 0;
  int64_t last = 0;           // the newest tick that was claimed, or passed over; at first `begin`
  bool settled = true;        // false: whether the event of `last` is in its topic is not known
  int64_t claimed_at_ms = 0;  // when `last` was claimed, by the owner's clock
  int64_t skipped = 0;        // passed over before the next one

  static std::optional<TickPosition> Parse(const json::object& stored);
  json::object ToJson() const;
};

struct Tick {
  int64_t due = 0;
  int64_t skipped = 0;  // ticks before it that nobody was there for, beyond what is caught up
};

/// Decides which tick comes next. Pure.
class TickSchedule {
 public:
  /// `catch_up`: of ticks that were missed, so many of the newest are made up for.
  TickSchedule(CronSpec spec, int64_t catch_up) : spec_(std::move(spec)), catch_up_(catch_up) {}

  /// The next tick after `position.last`; one that is due at or before `now` is to happen at once.
  std::optional<Tick> Next(const TickPosition& position, int64_t now) const;

 private:
  CronSpec spec_;
  int64_t catch_up_;
};

/// The id of the event of a tick: the same whoever makes it.
std::string TickId(const Uuid& driver, int64_t due);

}  // namespace dispatch
