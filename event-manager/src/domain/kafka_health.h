#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker-adapters/inspector.h"
#include "common/finding.h"

namespace dispatch {

/// What Kafka tells of itself, and what Dispatch wants of it.
struct KafkaFacts {
  struct Topic {
    broker::TopicLayout layout;
    broker::KafkaSettings settings;
    /// Of an internal topic, as a service makes it.
    std::optional<broker::TopicSpec> wanted;
    /// Of an event topic: the longest that one of its subscriptions tries an event.
    int64_t longest_retry_ms = 0;
  };
  size_t brokers = 0;
  std::vector<Topic> topics;
  broker::KafkaSettings broker_settings;
  /// Groups that must have members; nothing: unknown.
  std::vector<std::pair<std::string, std::optional<size_t>>> groups;
};

/// Settings that risk data or stop publishing, partitions without copies, groups without members;
/// one finding a check, also when it is good. Pure.
Findings JudgeKafka(const KafkaFacts& facts);

}  // namespace dispatch
