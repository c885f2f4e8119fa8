#include "schema/delivery_time.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/config.h"
#include "schema/rfc3339.h"

namespace dispatch::cloudevents {

namespace {

constexpr int64_t kLongestMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(kLongestDelay).count();

Error Fault(const char* attribute, const std::string& reason) {
  return {Code::kInvalidArgument,
          fmt::format("{} {}", attribute, reason),
          false,
          {{attribute, reason}}};
}

}  // namespace

Status SettleDelay(Event& event, WallTime now) {
  const std::string* at = event.Find(kDeliverAt);
  const std::string* delay = event.Find(kDelay);
  if (at != nullptr && delay != nullptr) {
    return Fault(kDelay, "and deliverat exclude each other: give one of them");
  }
  if (at != nullptr) {
    auto time = schema::ParseRfc3339(*at);
    if (!time.ok()) {
      return Fault(kDeliverAt, "must be an RFC 3339 time, as 2026-01-31T12:00:00Z");
    }
    if (ToMillis(*time) - ToMillis(now) > kLongestMs) {
      return Fault(kDeliverAt, fmt::format("must be at most {} days ahead",
                                           kLongestDelay / std::chrono::hours(24)));
    }
    return {};
  }
  if (delay == nullptr) return {};
  auto span = ParseDuration(*delay);
  int64_t ms = span.ok() ? span->count() / 1000 : 0;
  if (!span.ok() || ms > kLongestMs) {
    return Fault(kDelay, fmt::format("must be a duration of at most {} days, as 90s, 10m or 2h",
                                     kLongestDelay / std::chrono::hours(24)));
  }
  std::erase_if(event.attributes, [](const auto& attribute) { return attribute.first == kDelay; });
  event.Set(kDeliverAt, schema::FormatRfc3339(FromMillis(ToMillis(now) + ms)));
  return {};
}

int64_t DeliverAtMs(const Event& event, int64_t record_timestamp_ms) {
  const std::string* at = event.Find(kDeliverAt);
  if (at == nullptr) return 0;
  auto time = schema::ParseRfc3339(*at);
  if (!time.ok() || ToMillis(*time) <= record_timestamp_ms) return 0;
  return std::min(ToMillis(*time), record_timestamp_ms + kLongestMs);
}

}  // namespace dispatch::cloudevents
