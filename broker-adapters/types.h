#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dispatch::broker {

using Header = std::pair<std::string, std::string>;

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  auto operator<=>(const TopicPartition&) const = default;
};

/// Where a record is, once acknowledged.
struct Position {
  int32_t partition = 0;
  int64_t offset = 0;
};

/// A record as read. Owns its bytes.
struct Record {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;  // nothing: a tombstone
  std::vector<Header> headers;

  /// The last header of that name, as Kafka clients read it.
  const std::string* FindHeader(std::string_view name) const {
    for (auto it = headers.rbegin(); it != headers.rend(); ++it) {
      if (it->first == name) return &it->second;
    }
    return nullptr;
  }
};

/// A record to write. Partition -1: by key (murmur2, as Java's client), or any when there is no
/// key.
struct ProduceRecord {
  std::string topic;
  int32_t partition = -1;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<Header> headers;
};

inline constexpr int64_t kEarliest = -2;
inline constexpr int64_t kLatest = -1;
/// Group consumers: where the group committed to, or the earliest when it did not.
inline constexpr int64_t kCommitted = -1000;

}  // namespace dispatch::broker

template <>
struct std::hash<dispatch::broker::TopicPartition> {
  size_t operator()(const dispatch::broker::TopicPartition& tp) const noexcept {
    return std::hash<std::string>()(tp.topic) * 31 + static_cast<size_t>(tp.partition);
  }
};
