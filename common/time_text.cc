#include "common/internal/time_text.h"

#include <fmt/format.h>

#include <ctime>

namespace dispatch::internal {

namespace {

std::tm Utc(WallTime t) {
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

std::string FormatRfc3339(WallTime t) {
  std::tm p = Utc(t);
  int64_t ms = ((ToMillis(t) % 1000) + 1000) % 1000;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", p.tm_year + 1900, p.tm_mon + 1,
                     p.tm_mday, p.tm_hour, p.tm_min, p.tm_sec, ms);
}

std::string FormatHttpDate(WallTime t) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm p = Utc(t);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[p.tm_wday], p.tm_mday,
                     kMonths[p.tm_mon], p.tm_year + 1900, p.tm_hour, p.tm_min, p.tm_sec);
}

}  // namespace dispatch::internal
