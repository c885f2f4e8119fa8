#include "function-manager/src/domain/attempt_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace dispatch {

Result<AttemptCursor> AttemptCursor::Parse(const std::string& text) {
  AttemptCursor cursor;
  if (text.empty()) return cursor;
  const char* at = text.data();
  const char* end = at + text.size();
  auto number = [&](auto& out, char separator) {
    auto [stop, fault] = std::from_chars(at, end, out);
    bool good = fault == std::errc() && out >= 0 &&
                (separator == 0 ? stop == end : stop != end && *stop == separator);
    at = stop + 1;
    return good;
  };
  bool good = number(cursor.at_ms, '-') && number(cursor.partition, '-') &&
              number(cursor.offset, '-') && number(cursor.number, 0);
  if (good) return cursor;
  return Error{Code::kInvalidArgument,
               "cursor is not one that a page gave",
               false,
               {{"cursor", "is not one that a page gave"}}};
}

std::string AttemptCursor::ToString() const {
  return fmt::format("{}-{}-{}-{}", at_ms, partition, offset, number);
}

AttemptPage PageOf(std::vector<Attempt> found, const AttemptQuery& query) {
  std::erase_if(found, [&](const Attempt& a) {
    bool asked = query.outcome.empty() || a.outcome == query.outcome;
    return !asked || a.at_ms < query.since_ms || AttemptCursor::Of(a) >= query.before;
  });
  std::sort(found.begin(), found.end(), [](const Attempt& a, const Attempt& b) {
    return AttemptCursor::Of(a) > AttemptCursor::Of(b);
  });
  AttemptPage page;
  if (found.size() > query.limit) {
    found.resize(query.limit);
    page.next = AttemptCursor::Of(found.back());
  }
  page.attempts = std::move(found);
  return page;
}

}  // namespace dispatch
