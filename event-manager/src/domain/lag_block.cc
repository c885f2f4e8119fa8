#include "event-manager/src/domain/lag_block.h"

#include <algorithm>

#include "schema/messages.h"

namespace dispatch {

namespace {

constexpr int64_t kSecond = 1'000;
constexpr int32_t kMostPartitions = 100'000;  // of a row that is no nonsense

// Further apart, nobody can tell when it was settled.
constexpr int64_t kMostSteps = 3;
constexpr int64_t kMostApart = 60'000;  // ms

size_t MostPartitions(const std::vector<LagPoint>& points) {
  size_t most = 0;
  for (const auto& point : points) most = std::max(most, point.unread.size());
  return most;
}

bool AnyUnread(const std::vector<LagPoint>& points) {
  return std::any_of(points.begin(), points.end(), [](const LagPoint& point) {
    return std::any_of(point.unread.begin(), point.unread.end(), [](int64_t n) { return n != 0; });
  });
}

int64_t UnreadOf(const LagPoint& point, size_t partition) {
  return partition < point.unread.size() ? point.unread[partition] : 0;
}

template <typename Value>
void Raise(std::optional<Value>& most, Value value) {
  most = std::max(most.value_or(value), value);
}

}  // namespace

std::string PackLag(int64_t begun_ms, const std::vector<LagPoint>& points) {
  schema::PackedLag packed;
  size_t partitions = MostPartitions(points);
  packed.partitions = static_cast<int32_t>(partitions);
  bool any_unread = AnyUnread(points);
  LagPoint last{begun_ms, 0, 0, 0, std::vector<int64_t>(partitions, 0)};
  int64_t last_second = 0;
  for (const auto& point : points) {
    int64_t second = (point.at_ms - begun_ms) / kSecond;
    packed.seconds.push_back(second - last_second);
    packed.waiting.push_back(point.waiting - last.waiting);
    packed.oldest.push_back(point.oldest_seconds - last.oldest_seconds);
    packed.settled.push_back(point.settled - last.settled);
    for (size_t p = 0; any_unread && p < partitions; ++p) {
      packed.unread.push_back(UnreadOf(point, p) - UnreadOf(last, p));
    }
    last = point;
    last_second = second;
  }
  return schema::Encode(packed);
}

Result<std::vector<LagPoint>> UnpackLag(int64_t begun_ms, std::string_view bytes) {
  ASSIGN_OR_RETURN(auto packed, schema::Decode<schema::PackedLag>(bytes));
  size_t count = packed.seconds.size();
  bool sound = packed.partitions >= 0 && packed.partitions <= kMostPartitions &&
               packed.waiting.size() == count && packed.oldest.size() == count &&
               packed.settled.size() == count;
  auto partitions = static_cast<size_t>(packed.partitions);
  if (!sound || (!packed.unread.empty() && packed.unread.size() != count * partitions)) {
    return Error{Code::kInternal, "a row of the lag's history is not whole"};
  }
  std::vector<LagPoint> points;
  LagPoint point{begun_ms, 0, 0, 0, std::vector<int64_t>(partitions, 0)};
  for (size_t i = 0; i < count; ++i) {
    point.at_ms += packed.seconds[i] * kSecond;
    point.waiting += packed.waiting[i];
    point.oldest_seconds += packed.oldest[i];
    point.settled += packed.settled[i];
    for (size_t p = 0; !packed.unread.empty() && p < partitions; ++p) {
      point.unread[p] += packed.unread[i * partitions + p];
    }
    points.push_back(point);
  }
  return points;
}

std::vector<LagPoint> CoarsenLag(const std::vector<LagPoint>& points, int64_t step_ms) {
  std::vector<LagPoint> coarse;
  for (const auto& point : points) {
    int64_t at_ms = point.at_ms / step_ms * step_ms;
    if (coarse.empty() || coarse.back().at_ms != at_ms) coarse.push_back({at_ms, 0, 0, 0, {}});
    LagPoint& worst = coarse.back();
    worst.waiting = std::max(worst.waiting, point.waiting);
    worst.oldest_seconds = std::max(worst.oldest_seconds, point.oldest_seconds);
    worst.settled = point.settled;
    if (worst.unread.size() < point.unread.size()) worst.unread.resize(point.unread.size());
    for (size_t p = 0; p < point.unread.size(); ++p) {
      worst.unread[p] = std::max(worst.unread[p], point.unread[p]);
    }
  }
  return coarse;
}

LagSeries DrawLag(const std::vector<LagPoint>& points, int64_t from_ms, int64_t step_ms,
                  size_t count) {
  LagSeries series;
  series.waiting.resize(count);
  series.oldest_seconds.resize(count);
  series.settled_rate.resize(count);
  series.unread.assign(MostPartitions(points), LagSeries::Values<int64_t>(count));
  const LagPoint* begin = nullptr;  // the last one before the step
  const LagPoint* last = nullptr;
  int64_t last_step = -1;
  for (const auto& point : points) {
    int64_t step = point.at_ms < from_ms ? -1 : (point.at_ms - from_ms) / step_ms;
    if (step >= static_cast<int64_t>(count)) break;
    if (step != last_step || step < 0) begin = last;
    last = &point;
    last_step = step;
    if (step < 0) continue;
    auto at = static_cast<size_t>(step);
    Raise(series.waiting[at], point.waiting);
    Raise(series.oldest_seconds[at], point.oldest_seconds);
    for (size_t p = 0; p < point.unread.size(); ++p) Raise(series.unread[p][at], point.unread[p]);
    if (begin == nullptr) continue;
    int64_t apart_ms = point.at_ms - begin->at_ms;
    if (apart_ms <= 0 || apart_ms > std::max(kMostApart, kMostSteps * step_ms)) continue;
    // After a restore of the database there may be fewer.
    auto settled = static_cast<double>(std::max<int64_t>(0, point.settled - begin->settled));
    series.settled_rate[at] = settled * kSecond / static_cast<double>(apart_ms);
  }
  return series;
}

}  // namespace dispatch
