#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/cesql/program.h"
#include "common/http/message.h"
#include "common/result.h"

namespace dispatch::gateway {

/// Where reading goes on: the next offset of each partition that is read. As text "0:12,3:40", in
/// ?from=, in Link and in the ids of a stream's events (Last-Event-ID).
using Positions = std::map<int32_t, int64_t>;

/// Nothing when malformed, or a partition comes twice.
std::optional<Positions> ParsePositions(std::string_view text);
std::string FormatPositions(const Positions& positions);

/// What GET /v1/topics/{topic}/events asks for.
struct BrowseQuery {
  enum class From { kEarliest, kLatest, kTime, kPositions };

  static constexpr int64_t kDefaultPage = 100;
  static constexpr int64_t kMaxPage = 1'000;

  From from = From::kEarliest;
  int64_t time_ms = 0;  // kTime
  Positions positions;  // kPositions: only these partitions are read
  std::optional<cesql::Program> filter;
  int64_t limit = 0;  // 0: none, for a stream
  bool follow = false;
};

/// Reads ?from= (earliest, latest, an RFC 3339 time, or positions; a page begins at the earliest
/// event unless it says otherwise, a stream at the latest), ?filter= (CESQL), ?limit=, ?follow=
/// and, for a stream that is taken up again, Last-Event-ID. kInvalidArgument names the field.
Result<BrowseQuery> ReadBrowseQuery(const http::Request& request);

}  // namespace dispatch::gateway
