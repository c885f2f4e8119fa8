#include "api-gateway/src/domain/lag_history_query.h"

#include <fmt/format.h>

#include "common/config.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr milliseconds kShortest = seconds(10);
constexpr milliseconds kLongest = std::chrono::hours(24);
constexpr milliseconds kUsual = std::chrono::hours(1);  // from its end back
constexpr int64_t kUsualPoints = 360;
constexpr milliseconds kSteps[] = {seconds(10), seconds(20), seconds(30), minutes(1),  minutes(2),
                                   minutes(5),  minutes(15), minutes(30), minutes(60), kLongest};

Error Invalid(const char* parameter, const std::string& reason) {
  return {Code::kInvalidArgument,
          fmt::format("{} {}", parameter, reason),
          false,
          {{parameter, reason}}};
}

Result<WallTime> ReadTime(const http::Request& request, const char* name, WallTime fallback) {
  auto text = request.Query(name);
  if (!text) return fallback;
  auto time = schema::ParseRfc3339(*text);
  if (!time.ok()) return Invalid(name, "must be a time as 2026-01-31T12:00:00Z");
  return *time;
}

int64_t PointsIn(milliseconds span, milliseconds step) { return (span + step) / step; }

Result<milliseconds> ReadStep(const http::Request& request, milliseconds span) {
  auto text = request.Query("step");
  if (!text) {
    for (milliseconds step : kSteps) {
      if (PointsIn(span, step) <= kUsualPoints) return step;
    }
    return kLongest;
  }
  auto parsed = ParseDuration(*text);
  auto step = parsed.ok() ? std::chrono::duration_cast<milliseconds>(*parsed) : milliseconds(0);
  if (step < kShortest || step > kLongest || step % seconds(1) != milliseconds(0)) {
    return Invalid("step", "must be whole seconds from 10s to 24h, as 5m");
  }
  return step;
}

}  // namespace

Result<LagHistoryQuery> ReadLagHistoryQuery(const http::Request& request, WallTime now) {
  LagHistoryQuery query;
  query.subscriptions = request.QueryAll("subscription");
  if (query.subscriptions.empty()) return Invalid("subscription", "is required: a name");
  if (query.subscriptions.size() > LagHistoryQuery::kMostNames) {
    return Invalid("subscription", "may be given 50 times: ask again for the others");
  }
  ASSIGN_OR_RETURN(WallTime to, ReadTime(request, "to", now));
  ASSIGN_OR_RETURN(WallTime from, ReadTime(request, "from", to - kUsual));
  if (from >= to) return Invalid("from", "must be before to");
  if (ToMillis(from) < 0) return Invalid("from", "must be after 1970");
  milliseconds span(ToMillis(to) - ToMillis(from));
  ASSIGN_OR_RETURN(query.step, ReadStep(request, span));
  int64_t step_ms = query.step.count();
  int64_t from_ms = ToMillis(from) / step_ms * step_ms;
  query.from = FromMillis(from_ms);
  query.count = (ToMillis(to) - from_ms + step_ms - 1) / step_ms;
  if (query.count > LagHistoryQuery::kMostPoints) {
    return Invalid("step", fmt::format("makes {} points, 1,500 are the most: make it longer, or "
                                       "the time shorter",
                                       query.count));
  }
  std::string partitions = request.Query("partitions").value_or("false");
  if (partitions != "true" && partitions != "false") {
    return Invalid("partitions", "must be true or false");
  }
  query.partitions = partitions == "true";
  if (query.partitions && query.subscriptions.size() > 1) {
    return Invalid("partitions", "is for one subscription");
  }
  return query;
}

}  // namespace dispatch::gateway
