#include "schema/rfc3339.h"

#include <charconv>
#include <ctime>

#include "common/internal/time_text.h"

namespace dispatch::schema {

namespace {

/// Takes digits and separators off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool Digits(size_t count, int* out) {
    if (text_.size() < count) return false;
    auto [end, error] = std::from_chars(text_.data(), text_.data() + count, *out);
    if (error != std::errc() || end != text_.data() + count || text_[0] == '-') return false;
    text_.remove_prefix(count);
    return true;
  }
  bool Char(std::string_view any) {
    if (text_.empty() || any.find(text_[0]) == std::string_view::npos) return false;
    last_ = text_[0];
    text_.remove_prefix(1);
    return true;
  }
  char last() const { return last_; }
  bool empty() const { return text_.empty(); }
  char peek() const { return text_.empty() ? '\0' : text_[0]; }

 private:
  std::string_view text_;
  char last_ = '\0';
};

}  // namespace

Result<WallTime> ParseRfc3339(std::string_view text) {
  Error bad{Code::kInvalidArgument, "not an RFC 3339 time, as in 2026-01-02T03:04:05Z"};
  Scanner scan(text);
  std::tm tm{};
  bool head = scan.Digits(4, &tm.tm_year) && scan.Char("-") && scan.Digits(2, &tm.tm_mon) &&
              scan.Char("-") && scan.Digits(2, &tm.tm_mday) && scan.Char("Tt ") &&
              scan.Digits(2, &tm.tm_hour) && scan.Char(":") && scan.Digits(2, &tm.tm_min) &&
              scan.Char(":") && scan.Digits(2, &tm.tm_sec);
  if (!head || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
      tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
    return bad;
  }
  int64_t micros = 0;
  if (scan.Char(".")) {
    int64_t unit = 100'000;
    int digit = 0;
    if (!scan.Digits(1, &digit)) return bad;
    do {
      micros += digit * unit;
      unit /= 10;
    } while (scan.peek() >= '0' && scan.peek() <= '9' && scan.Digits(1, &digit));
  }
  int64_t offset_s = 0;
  if (scan.Char("+-")) {
    int sign = scan.last() == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;
    bool ok = scan.Digits(2, &hours) && scan.Char(":") && scan.Digits(2, &minutes);
    if (!ok || hours > 23 || minutes > 59) return bad;
    offset_s = sign * (hours * 3600 + minutes * 60);
  } else if (!scan.Char("Zz")) {
    return bad;
  }
  if (!scan.empty()) return bad;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  int day = tm.tm_mday;
  int64_t seconds = timegm(&tm);
  if (tm.tm_mday != day) return bad;  // the 30th of February
  return WallTime(Duration((seconds - offset_s) * 1'000'000 + micros));
}

std::string FormatRfc3339(WallTime time) { return internal::FormatRfc3339(time); }

}  // namespace dispatch::schema
