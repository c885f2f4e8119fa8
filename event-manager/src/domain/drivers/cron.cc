#include "event-manager/src/domain/drivers/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <vector>

#include "common/config.h"

namespace dispatch {

namespace {

constexpr int64_t kDaySeconds = 86'400;
// Leap days may be eight years apart, around a century.
constexpr int64_t kHorizon = 12 * 366 * kDaySeconds;

struct Bounds {
  const char* name;
  int low;
  int high;
};
constexpr std::array<Bounds, 6> kBounds{{{"second", 0, 59},
                                         {"minute", 0, 59},
                                         {"hour", 0, 23},
                                         {"day of month", 1, 31},
                                         {"month", 1, 12},
                                         {"day of week", 0, 6}}};
constexpr std::array<const char*, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                              "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<const char*, 7> kDays{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

constexpr std::array<std::pair<const char*, const char*>, 7> kDescriptors{
    {{"@hourly", "0 * * * *"},
     {"@daily", "0 0 * * *"},
     {"@midnight", "0 0 * * *"},
     {"@weekly", "0 0 * * 0"},
     {"@monthly", "0 0 1 * *"},
     {"@yearly", "0 0 1 1 *"},
     {"@annually", "0 0 1 1 *"}}};

Error Fault(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> Words(std::string_view text) {
  auto parts = Split(text, ' ');
  std::erase(parts, std::string_view());
  return parts;
}

// `name` is in lower case.
bool IsSame(std::string_view text, std::string_view name) {
  return std::equal(text.begin(), text.end(), name.begin(), name.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

std::optional<int> Number(std::string_view text) {
  int value = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

Result<int> CronSpec::ParseValue(Place place, std::string_view text) {
  const Bounds& bounds = kBounds[place];
  auto named = [&](const auto& names, int first) -> std::optional<int> {
    for (size_t i = 0; i < names.size(); ++i) {
      if (IsSame(text, names[i])) return static_cast<int>(i) + first;
    }
    return std::nullopt;
  };
  std::optional<int> value = Number(text);
  if (!value && place == kMonth) value = named(kMonths, 1);
  if (!value && place == kWeekday) value = named(kDays, 0);
  if (place == kWeekday && value == 7) value = 0;
  if (value && *value >= bounds.low && *value <= bounds.high) return *value;
  return Fault(fmt::format("'{}' is no {}: it is from {} to {}", text, bounds.name, bounds.low,
                           bounds.high));
}

Result<uint64_t> CronSpec::ParseRange(Place place, std::string_view text, Field& field) {
  const Bounds& bounds = kBounds[place];
  size_t slash = text.find('/');
  std::string_view range = text.substr(0, slash);
  int step = 1;
  if (slash != text.npos) {
    step = Number(text.substr(slash + 1)).value_or(0);
    if (step < 1 || step > 60) {
      return Fault(fmt::format("'{}': the step of a {} is from 1 to 60", text, bounds.name));
    }
  }
  int low = bounds.low;
  int high = bounds.high;
  if (range == "*" || range == "?") {
    field.any = true;
  } else {
    size_t dash = range.find('-');
    ASSIGN_OR_RETURN(low, ParseValue(place, range.substr(0, dash)));
    // "5/15" is from 5 on.
    if (dash != range.npos) {
      ASSIGN_OR_RETURN(high, ParseValue(place, range.substr(dash + 1)));
      // Sunday is also the seventh day.
      if (place == kWeekday && high == 0 && low > 0) high = 7;
    } else if (slash == text.npos) {
      high = low;
    }
    if (low > high) return Fault(fmt::format("'{}' ends before it begins", range));
  }
  uint64_t bits = 0;
  for (int value = low; value <= high; value += step) {
    bits |= uint64_t{1} << (place == kWeekday ? value % 7 : value);
  }
  return bits;
}

Result<CronSpec::Field> CronSpec::ParseField(Place place, std::string_view text) {
  Field field;
  for (std::string_view part : Split(text, ',')) {
    ASSIGN_OR_RETURN(uint64_t bits, ParseRange(place, part, field));
    field.bits |= bits;
  }
  return field;
}

Result<CronSpec> CronSpec::Parse(std::string_view text, const Zone& zone) {
  auto words = Words(text);
  CronSpec spec;
  spec.zone_ = zone;
  if (!words.empty() && (words[0].starts_with("TZ=") || words[0].starts_with("CRON_TZ="))) {
    ASSIGN_OR_RETURN(spec.zone_, Zone::Named(std::string(words[0].substr(words[0].find('=') + 1))));
    words.erase(words.begin());
  }
  if (words.size() == 2 && words[0] == "@every") {
    auto every = ParseDuration(std::string(words[1]));
    int64_t seconds =
        every.ok() ? std::chrono::duration_cast<std::chrono::seconds>(*every).count() : 0;
    if (seconds < 1) return Fault("@every takes a duration of 1s or more, as in @every 90s");
    return Every(seconds);
  }
  if (words.size() == 1 && words[0].starts_with('@')) {
    for (const auto& [name, fields] : kDescriptors) {
      if (words[0] == name) return Parse(fields, *spec.zone_);
    }
    return Fault(
        fmt::format("'{}' is not known: @hourly, @daily, @weekly, @monthly, @yearly and "
                    "@every DURATION are",
                    words[0]));
  }
  if (words.size() != 5 && words.size() != 6) {
    return Fault(
        fmt::format("a specification has five fields (minute, hour, day of month, month, "
                    "day of week) or six (a second before them), not {}",
                    words.size()));
  }
  int place = words.size() == 6 ? kSecond : kMinute;
  if (place == kMinute) spec.fields_[kSecond].bits = 1;
  for (std::string_view word : words) {
    ASSIGN_OR_RETURN(spec.fields_[static_cast<size_t>(place)],
                     ParseField(static_cast<Place>(place), word));
    ++place;
  }
  return spec;
}

CronSpec CronSpec::Every(int64_t seconds) {
  CronSpec spec;
  spec.every_ = seconds;
  return spec;
}

bool CronSpec::MatchesDay(int64_t day) const {
  std::chrono::sys_days date{std::chrono::days(day)};
  std::chrono::year_month_day civil(date);
  if (!fields_[kMonth].Has(static_cast<int>(static_cast<unsigned>(civil.month())))) return false;
  bool of_month = fields_[kDay].Has(static_cast<int>(static_cast<unsigned>(civil.day())));
  bool of_week = fields_[kWeekday].Has(static_cast<int>(std::chrono::weekday(date).c_encoding()));
  bool either = !fields_[kDay].any && !fields_[kWeekday].any;
  return either ? of_month || of_week : of_month && of_week;
}

std::optional<int64_t> CronSpec::NextLocal(int64_t local) const {
  int64_t first_day = FloorDiv(local, kDaySeconds);
  for (int64_t day = first_day; day <= first_day + kHorizon / kDaySeconds; ++day) {
    if (!MatchesDay(day)) continue;
    int64_t from = day == first_day ? local - day * kDaySeconds : 0;
    for (int hour = static_cast<int>(from / 3600); hour < 24; ++hour) {
      if (!fields_[kHour].Has(hour)) continue;
      int64_t in_hour = std::max<int64_t>(from - hour * 3600, 0);
      for (int minute = static_cast<int>(in_hour / 60); minute < 60; ++minute) {
        if (!fields_[kMinute].Has(minute)) continue;
        int64_t in_minute = std::max<int64_t>(in_hour - minute * 60, 0);
        for (int second = static_cast<int>(in_minute); second < 60; ++second) {
          if (!fields_[kSecond].Has(second)) continue;
          return day * kDaySeconds + hour * 3600 + minute * 60 + second;
        }
      }
    }
  }
  return std::nullopt;
}

std::optional<int64_t> CronSpec::Next(int64_t after, int64_t begin) const {
  if (every_ > 0) {
    int64_t passed = std::max<int64_t>(FloorDiv(after - begin, every_), 0);
    return begin + (passed + 1) * every_;
  }
  bool fixed_hour = !fields_[kHour].any;
  const int64_t limit = after + kHorizon;
  int64_t at = after + 1;
  // From one change of the clock to the next the offset is the same.
  while (at <= limit) {
    int64_t offset = zone_->OffsetAt(at);
    int64_t end = zone_->NextTransition(at).value_or(limit + 1);
    int64_t offset_before = zone_->OffsetAt(at - 1);
    if (fixed_hour && offset > offset_before) {  // the clock is put forward right here
      auto skipped = NextLocal(at + offset_before);
      if (skipped && *skipped < at + offset) return at;
    }
    // Local times below this one were there already, before the clock was put back.
    int64_t repeated_until = std::numeric_limits<int64_t>::min();
    if (fixed_hour) {
      constexpr int64_t kLongest = 3 * 3600;
      auto put_back = zone_->NextTransition(at - kLongest);
      if (put_back && *put_back <= at) {
        repeated_until = *put_back + zone_->OffsetAt(*put_back - 1);
      }
    }
    auto local = NextLocal(std::max(at + offset, repeated_until));
    if (!local) return std::nullopt;
    if (*local - offset < end) return *local - offset;
    at = end;
  }
  return std::nullopt;
}

}  // namespace dispatch
