#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// Checks what users send and makes the documents that are stored. Errors are kUnprocessable and
/// name every faulty field.

/// A topic as a user describes it: name, partitions (default 4), retention, tags.
Result<json::object> TopicDocument(const json::object& request);

/// Kafka's settings for a topic document: retention.ms, retention.bytes.
std::vector<std::pair<std::string, std::string>> TopicConfig(const json::object& document);

/// A subscription as a user describes it. Without `internal`, status and times.
Result<json::object> SubscriptionDocument(const json::object& request);

/// Where a new subscription starts.
struct StartAt {
  enum class Kind { kLatest, kEarliest, kTime, kOffsets };
  Kind kind = Kind::kLatest;
  int64_t time_ms = 0;
  std::vector<int64_t> offsets;
};
Result<StartAt> ParseStart(const json::object& document);
/// A place as `start` has it, or a time as text.
Result<StartAt> ParsePlaceOrTime(const json::value& value);
/// Where a rewind goes: {"to": as start has it, or a time as text}, which must be there.
Result<StartAt> ParseRewind(const json::object& request);

}  // namespace dispatch
