#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::broker {

inline constexpr char kInvocationsTopic[] = "dispatch.invocations";
inline constexpr char kProgressTopic[] = "dispatch.progress";
inline constexpr char kDeadLettersTopic[] = "dispatch.dead-letters";
inline constexpr std::chrono::milliseconds kDeadLettersRetention = std::chrono::hours(14 * 24);
inline constexpr char kRepliesTopic[] = "dispatch.replies";
inline constexpr char kAuditTopic[] = "dispatch.audit";

std::string RpcTopic(const std::string& service);
std::string StateTopic(const std::string& service);
/// "<org>.<topic>".
std::string EventTopic(const std::string& org, const std::string& topic);

/// The internal topics of DESIGN section 2, for the cluster's size.
std::vector<TopicSpec> InternalTopics(int16_t replication_factor, int32_t invocations_partitions);

/// Makes the topics that are missing, and tries again with a warning until all are there (Kafka may
/// start after us). Then runs `done`.
void EnsureTopics(Broker& broker, Loop& loop, std::vector<TopicSpec> specs,
                  std::function<void()> done);

}  // namespace dispatch::broker
