#include "event-manager/src/domain/drivers/tick_schedule.h"

#include <fmt/format.h>

#include <deque>

namespace dispatch {

namespace {

// Looking at each missed tick of a year of seconds takes too long: beyond that the count of those
// passed over is what was looked at, and the schedule goes on at `now`.
constexpr int64_t kMostLooked = 200'000;

}  // namespace

std::optional<TickPosition> TickPosition::Parse(const json::object& stored) {
  if (!stored.contains("schedule")) return std::nullopt;
  TickPosition position;
  position.schedule = json::GetString(stored, "schedule");
  position.begin = json::GetInt(stored, "begin");
  position.last = json::GetInt(stored, "last");
  position.settled = json::GetBool(stored, "settled", true);
  position.claimed_at_ms = json::GetInt(stored, "claimedAtMs");
  position.skipped = json::GetInt(stored, "skipped");
  return position;
}

json::object TickPosition::ToJson() const {
  return {{"schedule", schedule}, {"begin", begin},     {"last", last},
          {"settled", settled},   {"skipped", skipped}, {"claimedAtMs", claimed_at_ms}};
}

std::optional<Tick> TickSchedule::Next(const TickPosition& position, int64_t now) const {
  auto next = spec_.Next(position.last, position.begin);
  if (!next || *next > now) return next ? std::optional<Tick>(Tick{*next, 0}) : std::nullopt;
  // The newest of those that are due: one that is due right now is none that was missed.
  std::deque<int64_t> due;
  int64_t passed = 0;
  for (int64_t looked = 0; next && *next <= now; ++looked) {
    due.push_back(*next);
    if (static_cast<int64_t>(due.size()) > catch_up_ + 1) {
      due.pop_front();
      ++passed;
    }
    int64_t from = looked < kMostLooked ? *next : std::max(*next, now - catch_up_ - 1);
    next = spec_.Next(from, position.begin);
  }
  // Without catching up, what is late by more than a moment is missed as well.
  constexpr int64_t kMoment = 1;
  if (catch_up_ == 0 && due.back() + kMoment < now) {
    passed += 1;
    if (!next) return std::nullopt;
    return Tick{*next, passed};
  }
  return Tick{due.front(), passed};
}

std::string TickId(const Uuid& driver, int64_t due) {
  return fmt::format("{}-{}", driver.ToString(), due);
}

}  // namespace dispatch
