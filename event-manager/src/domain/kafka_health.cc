#include "event-manager/src/domain/kafka_health.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>

namespace dispatch {

namespace {

using Level = Finding::Level;
using Topic = KafkaFacts::Topic;

constexpr size_t kMostNamed = 5;
constexpr int64_t kLargestEvent = 1'048'588;  // 1,000,000 bytes, its headers and the batch's

std::string Text(const Topic& topic, const char* setting) {
  auto it = topic.settings.find(setting);
  return it == topic.settings.end() ? std::string() : it->second;
}

// Nothing for what Kafka did not tell.
std::optional<int64_t> Number(const broker::KafkaSettings& settings, const std::string& setting) {
  auto it = settings.find(setting);
  if (it == settings.end()) return std::nullopt;
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

// -1 is for ever.
bool Shorter(int64_t retention_ms, int64_t than_ms) {
  return retention_ms >= 0 && retention_ms < than_ms;
}

/// The topics for which a check is bad, as one finding.
class Check {
 public:
  Check(const KafkaFacts& facts, const char* name, const char* good)
      : facts_(facts), finding_{Level::kOk, name, good, {}} {}

  /// `text` follows the names of the topics.
  Check& Bad(Level level, const char* text, const char* remedy,
             const std::function<bool(const Topic&)>& is_bad) {
    std::string names;
    size_t count = 0;
    for (const Topic& topic : facts_.topics) {
      if (!is_bad(topic)) continue;
      if (++count <= kMostNamed) names += (count > 1 ? ", " : "") + topic.layout.name;
    }
    if (count == 0 || finding_.level >= level) return *this;
    if (count > kMostNamed) names += fmt::format(" and {} more", count - kMostNamed);
    finding_ = {level, finding_.check, names + ": " + text, remedy};
    return *this;
  }
  Finding Take() { return std::move(finding_); }

 private:
  const KafkaFacts& facts_;
  Finding finding_;
};

Finding JudgeBrokers(const KafkaFacts& facts) {
  if (facts.brokers > 1) {
    return {Level::kOk, "kafka.brokers", fmt::format("{} brokers", facts.brokers), {}};
  }
  return {Level::kWarning, "kafka.brokers",
          "a single broker: with its disk all events are gone, and while it is away nothing is "
          "published",
          "good for development; else run three brokers, and the services with "
          "--replication-factor 3"};
}

Finding JudgeLeaders(const KafkaFacts& facts) {
  return Check(facts, "kafka.leaders", "all partitions are led and have their copies")
      .Bad(Level::kFailure, "partitions without a leader: nobody can write or read them",
           "start the brokers that have them",
           [](const Topic& topic) { return topic.layout.leaderless > 0; })
      .Bad(Level::kWarning, "copies are behind or away",
           "see which broker is away, or whose disk is slow",
           [](const Topic& topic) { return topic.layout.in_sync < topic.layout.replicas; })
      .Take();
}

Finding JudgeReplication(const KafkaFacts& facts) {
  return Check(facts, "kafka.replication", "as many copies as the brokers allow")
      .Bad(Level::kFailure, "one copy only: with the disk of its broker it is lost",
           "give them three copies by kafka-reassign-partitions, and the services "
           "--replication-factor 3 for those to come",
           [&](const Topic& topic) { return facts.brokers > 1 && topic.layout.replicas < 2; })
      .Take();
}

Finding JudgeMinInsync(const KafkaFacts& facts) {
  auto least = [](const Topic& topic) {
    return Number(topic.settings, "min.insync.replicas").value_or(1);
  };
  return Check(facts, "kafka.min_insync_replicas", "what is confirmed is on enough brokers")
      .Bad(Level::kFailure, "min.insync.replicas is more than there are copies: nothing is taken",
           "set it to one less than the copies (1 with a single one)",
           [&](const Topic& topic) { return least(topic) > topic.layout.replicas; })
      .Bad(Level::kFailure,
           "min.insync.replicas is 1: an event may be confirmed by one broker alone, and lost with "
           "it",
           "set min.insync.replicas to 2 for topics of three copies",
           [&](const Topic& topic) { return topic.layout.replicas >= 3 && least(topic) < 2; })
      .Bad(Level::kWarning, "min.insync.replicas is all copies: one broker away stops publishing",
           "set it to one less than the copies",
           [&](const Topic& topic) {
             return topic.layout.replicas > 1 && least(topic) == topic.layout.replicas;
           })
      .Take();
}

Finding JudgeElections(const KafkaFacts& facts) {
  return Check(facts, "kafka.unclean_election", "only copies in sync become leaders")
      .Bad(Level::kFailure,
           "unclean.leader.election.enable: a copy that lacks confirmed events may become the "
           "leader, and they are gone",
           "set unclean.leader.election.enable to false",
           [](const Topic& topic) {
             return Text(topic, "unclean.leader.election.enable") == "true";
           })
      .Take();
}

std::string Wanted(const Topic& topic, const std::string& setting) {
  if (!topic.wanted) return {};
  for (const auto& [name, value] : topic.wanted->config) {
    if (name == setting) return value;
  }
  return {};
}

Finding JudgeCleanup(const KafkaFacts& facts) {
  return Check(facts, "kafka.cleanup", "internal topics are cleaned as they must be")
      .Bad(Level::kFailure, "another cleanup.policy than Dispatch made them with: state is lost",
           "set cleanup.policy back: compact for dispatch.state.* and dispatch.progress, delete "
           "for the others",
           [](const Topic& topic) {
             std::string wanted = Wanted(topic, "cleanup.policy");
             std::string is = Text(topic, "cleanup.policy");
             return !wanted.empty() && !is.empty() && is != wanted;
           })
      .Take();
}

Finding JudgeRetention(const KafkaFacts& facts) {
  auto retention = [](const Topic& topic) {
    return Number(topic.settings, "retention.ms").value_or(-1);
  };
  return Check(facts, "kafka.retention", "long enough for outages and retries")
      .Bad(Level::kFailure,
           "internal, and kept for less time than Dispatch made them with: an outage loses what is "
           "under way",
           "set retention.ms back (dispatch.invocations 7 d, dispatch.dead-letters 14 d, "
           "dispatch.audit 90 d), and retention.bytes to -1",
           [&](const Topic& topic) {
             broker::KafkaSettings wanted{{"retention.ms", Wanted(topic, "retention.ms")}};
             auto at_least = Number(wanted, "retention.ms");
             return at_least && (Shorter(retention(topic), *at_least) ||
                                 Number(topic.settings, "retention.bytes").value_or(-1) > 0);
           })
      .Bad(Level::kWarning,
           "kept for less time than their subscriptions try an event: it may be gone before its "
           "fate is known, and cannot be replayed",
           "raise the retention of the topic (dispatch update topic NAME --retention 7d), or lower "
           "retry.maxAge",
           [&](const Topic& topic) { return Shorter(retention(topic), topic.longest_retry_ms); })
      .Take();
}

Finding JudgeSizes(const KafkaFacts& facts) {
  return Check(facts, "kafka.message_size", "every event that is accepted fits")
      .Bad(Level::kFailure, "max.message.bytes is less than an event or message may have",
           "set max.message.bytes to 1048588 for event topics and 2097152 for dispatch.*",
           [](const Topic& topic) {
             broker::KafkaSettings wanted{{"bytes", Wanted(topic, "max.message.bytes")}};
             int64_t least = Number(wanted, "bytes").value_or(kLargestEvent);
             return Number(topic.settings, "max.message.bytes").value_or(least) < least;
           })
      .Take();
}

Finding JudgeAutoCreate(const KafkaFacts& facts) {
  auto it = facts.broker_settings.find("auto.create.topics.enable");
  if (it == facts.broker_settings.end() || it->second != "true") {
    return {Level::kOk, "kafka.auto_create", "topics are made by who means to", {}};
  }
  return {Level::kWarning, "kafka.auto_create",
          "auto.create.topics.enable: a deleted or mistyped topic comes into being with the "
          "broker's defaults",
          "set auto.create.topics.enable=false on the brokers"};
}

Finding JudgeGroups(const KafkaFacts& facts) {
  std::string empty;
  for (const auto& [group, members] : facts.groups) {
    if (members == size_t{0}) empty += (empty.empty() ? "" : ", ") + group;
  }
  if (empty.empty()) return {Level::kOk, "kafka.groups", "the groups have members", {}};
  return {Level::kFailure, "kafka.groups", empty + ": nobody is in the consumer group",
          "start its service; if it runs, see /readyz of it"};
}

}  // namespace

Findings JudgeKafka(const KafkaFacts& facts) {
  return {JudgeBrokers(facts),   JudgeLeaders(facts),   JudgeReplication(facts),
          JudgeMinInsync(facts), JudgeElections(facts), JudgeCleanup(facts),
          JudgeRetention(facts), JudgeSizes(facts),     JudgeAutoCreate(facts),
          JudgeGroups(facts)};
}

}  // namespace dispatch
