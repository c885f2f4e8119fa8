#include "api-gateway/src/domain/browse/query.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "common/clock.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

Error Invalid(std::string field, std::string reason) {
  return {Code::kInvalidArgument, fmt::format("{} {}", field, reason), false, {{field, reason}}};
}

template <typename T>
bool TakeNumber(std::string_view text, T* number) {
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return fault == std::errc() && end == text.data() + text.size() && *number >= 0;
}

Status ReadFrom(const std::string& text, BrowseQuery* query) {
  if (text == "earliest") {
    query->from = BrowseQuery::From::kEarliest;
  } else if (text == "latest") {
    query->from = BrowseQuery::From::kLatest;
  } else if (auto positions = ParsePositions(text)) {
    query->from = BrowseQuery::From::kPositions;
    query->positions = std::move(*positions);
  } else if (auto time = schema::ParseRfc3339(text); time.ok()) {
    query->from = BrowseQuery::From::kTime;
    query->time_ms = ToMillis(*time);
  } else {
    return Invalid("from",
                   "must be earliest, latest, a time as 2026-01-02T03:04:05Z, or partition:offset "
                   "(several with commas)");
  }
  return {};
}

}  // namespace

std::optional<Positions> ParsePositions(std::string_view text) {
  Positions positions;
  while (true) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view one = text.substr(0, comma);
    size_t colon = one.find(':');
    int32_t partition = 0;
    int64_t offset = 0;
    if (colon == one.npos || !TakeNumber(one.substr(0, colon), &partition) ||
        !TakeNumber(one.substr(colon + 1), &offset) ||
        !positions.emplace(partition, offset).second) {
      return std::nullopt;
    }
    if (comma == text.size()) return positions;
    text.remove_prefix(comma + 1);
  }
}

std::string FormatPositions(const Positions& positions) {
  std::string text;
  for (const auto& [partition, offset] : positions) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", partition, offset);
  }
  return text;
}

Result<BrowseQuery> ReadBrowseQuery(const http::Request& request) {
  BrowseQuery query;
  std::string follow = request.Query("follow").value_or("false");
  if (follow != "true" && follow != "false") return Invalid("follow", "must be true or false");
  query.follow = follow == "true";

  query.from = query.follow ? BrowseQuery::From::kLatest : BrowseQuery::From::kEarliest;
  if (auto from = request.Query("from")) RETURN_IF_ERROR(ReadFrom(*from, &query));
  auto last = query.follow ? request.headers.Get("Last-Event-ID") : std::nullopt;
  if (last && !last->empty()) {
    auto positions = ParsePositions(*last);
    if (!positions) return Invalid("Last-Event-ID", "must be the id of an event of this stream");
    query.from = BrowseQuery::From::kPositions;
    query.positions = std::move(*positions);
  }

  int64_t most = query.follow ? std::numeric_limits<int64_t>::max() : BrowseQuery::kMaxPage;
  query.limit = query.follow ? 0 : BrowseQuery::kDefaultPage;
  if (auto limit = request.Query("limit")) {
    if (!TakeNumber(*limit, &query.limit) || query.limit < 1 || query.limit > most) {
      return Invalid("limit", fmt::format("must be a number from 1 to {}", most));
    }
  }

  if (auto filter = request.Query("filter"); filter && !filter->empty()) {
    auto program = cesql::Program::Compile(*filter);
    if (!program.ok()) return Invalid("filter", "must be CESQL: " + program.message());
    if (!program->futile().empty()) {
      return Invalid("filter", "can never hold: " + program->futile());
    }
    query.filter = std::move(*program);
  }
  return query;
}

}  // namespace dispatch::gateway
