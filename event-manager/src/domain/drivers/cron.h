#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "event-manager/src/domain/drivers/time_zone.h"

namespace dispatch {

/// When something is to happen: a cron specification in a time zone, or an interval. Immutable.
///
/// Specifications are VMware's (robfig's): five fields (minute, hour, day of month, month, day of
/// week) or six (a second before them); `*`, `?`, lists, ranges, steps, names of months and days;
/// when both days are restricted, either is enough. `@hourly`, `@daily` (`@midnight`), `@weekly`,
/// `@monthly`, `@yearly` (`@annually`), and `@every 90s`, which counts from when it began. "TZ=" or
/// "CRON_TZ=" before the fields names the zone too.
///
/// Where the clock is put forward, what fell into the gap happens once at its end; where it is put
/// back, what has a restricted hour happens the first time only. With `*` in the hour, every local
/// time that matches counts, also the second time.
class CronSpec {
 public:
  static Result<CronSpec> Parse(std::string_view text, const Zone& zone);
  /// Every so many seconds, 1 or more.
  static CronSpec Every(int64_t seconds);

  /// The first time after `after` (seconds since the epoch); `begin` is where an interval counts
  /// from. Nothing when there is none within twelve years ("0 0 30 2 *").
  std::optional<int64_t> Next(int64_t after, int64_t begin) const;

 private:
  // One bit a value.
  struct Field {
    uint64_t bits = 0;
    bool any = false;  // `*` or `?`, which a step does not change

    bool Has(int value) const { return (bits >> value & 1) != 0; }
  };
  enum Place { kSecond, kMinute, kHour, kDay, kMonth, kWeekday, kPlaces };

  static Result<Field> ParseField(Place place, std::string_view text);
  static Result<uint64_t> ParseRange(Place place, std::string_view text, Field& field);
  static Result<int> ParseValue(Place place, std::string_view text);

  bool MatchesDay(int64_t day) const;
  // The first local second at or after `local`, without regard to zones.
  std::optional<int64_t> NextLocal(int64_t local) const;

  std::array<Field, kPlaces> fields_{};
  std::optional<Zone> zone_;
  int64_t every_ = 0;  // above 0: an interval
};

}  // namespace dispatch
