#include "event-manager/src/adapters/cluster_doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker-adapters/topics.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using Level = Finding::Level;

constexpr const char* kGroups[] = {"dispatch.event-manager", "dispatch.function-manager"};
constexpr size_t kMostTold = 20;
constexpr size_t kMostLookedAt = 1'000;

Finding CannotAsk(const Error& error) {
  return {Level::kFailure, "kafka.reachable", error.message,
          "see whether Kafka runs and --kafka-brokers is right; a user of its own needs "
          "Describe and DescribeConfigs on the cluster and its topics"};
}

int Need(const LagBoard::Subscription& row) {
  return row.figures.conservation_error != 0 ? 8 : LagSeverity(row.verdict.state);
}

Finding OfSubscription(const LagBoard::Subscription& row) {
  std::string name = row.entity->org + "/" + row.entity->name;
  if (row.figures.conservation_error != 0) {
    return {Level::kFailure, "subscription.conservation",
            fmt::format("{}: its figures are off by {}", name, row.figures.conservation_error),
            "docs/runbook.md, DispatchConservationBroken"};
  }
  bool severe = Need(row) >= LagSeverity(LagState::kRetentionRisk);
  return {severe ? Level::kFailure : Level::kWarning, "subscription.verdict",
          fmt::format("{}: {}: {}", name, LagStateName(row.verdict.state), row.verdict.text),
          fmt::format("docs/runbook.md; each attempt: dispatch attempts {} --organization {}",
                      row.entity->name, row.entity->org)};
}

}  // namespace

Findings JudgeSubscriptions(const LagBoard& board) {
  std::vector<const LagBoard::Subscription*> in_need;
  for (const auto& row : board.subscriptions) {
    if (Need(row) >= LagSeverity(LagState::kSlow)) in_need.push_back(&row);
  }
  // Rows of one board: their addresses are in its order.
  std::sort(in_need.begin(), in_need.end(), [](const auto* a, const auto* b) {
    return Need(*a) != Need(*b) ? Need(*a) > Need(*b) : a < b;
  });
  Findings findings;
  for (const auto* row : in_need) {
    if (findings.size() == kMostTold) break;
    findings.push_back(OfSubscription(*row));
  }
  size_t well = board.subscriptions.size() - in_need.size();
  std::string text = fmt::format("{} of {} are well", well, board.subscriptions.size());
  if (in_need.size() > kMostTold) {
    findings.push_back({Level::kWarning, "subscription.verdicts", std::move(text),
                        "dispatch lag has all of an organization"});
  } else {
    findings.push_back({Level::kOk, "subscription.verdicts", std::move(text), {}});
  }
  return findings;
}

void ClusterDoctor::LookAtSubscriptions(Done done) {
  std::vector<LagBoard::EntityPtr> all;
  state_.ForEach(schema::kSubscriptionKind,
                 [&](const LagBoard::EntityPtr& entity) { all.push_back(entity); });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a->org, a->name) < std::tie(b->org, b->name);
  });
  all.resize(std::min(all.size(), kMostLookedAt));
  survey_.Look(std::move(all), [done = std::move(done)](Result<LagBoard> board) {
    if (board.ok()) return done(JudgeSubscriptions(*board));
    done({{Level::kFailure, "subscription.verdicts", board.message(),
           "see what else is told of Kafka and PostgreSQL"}});
  });
}

// Internal topics, and event topics of organisations; others are no business of ours.
void ClusterDoctor::AddTopics(const broker::ClusterInfo& cluster, KafkaFacts* facts) const {
  std::map<std::string, int64_t> retries;  // by Kafka's name of the topic
  state_.ForEach(schema::kTopicKind, [&](const auto& entity) {
    retries.emplace(broker::EventTopic(entity->org, entity->name), 0);
  });
  state_.ForEach(schema::kSubscriptionKind, [&](const auto& entity) {
    auto parsed = schema::ParseSubscription(entity->uuid, entity->org, entity->name,
                                            entity->version, entity->document);
    auto it = retries.find(broker::EventTopic(entity->org, parsed.topic));
    if (it == retries.end()) return;
    it->second = std::max<int64_t>(it->second, parsed.retry.max_age.count());
  });
  for (const broker::TopicLayout& layout : cluster.topics) {
    KafkaFacts::Topic topic{layout, {}, std::nullopt, 0};
    auto spec = std::find_if(wanted_.begin(), wanted_.end(),
                             [&](const auto& wanted) { return wanted.name == layout.name; });
    auto events = retries.find(layout.name);
    if (spec == wanted_.end() && events == retries.end()) continue;
    if (spec != wanted_.end()) topic.wanted = *spec;
    if (events != retries.end()) topic.longest_retry_ms = events->second;
    facts->topics.push_back(std::move(topic));
  }
}

void ClusterDoctor::LookAtKafka(Done done) {
  broker::InspectorOf(broker_.admin())
      .DescribeCluster([this, done](Result<broker::ClusterInfo> cluster) {
        if (!cluster.ok()) return done({CannotAsk(cluster.error())});
        auto facts = std::make_shared<KafkaFacts>();
        facts->brokers = cluster->brokers.size();
        AddTopics(*cluster, facts.get());
        AskSettings(facts, cluster->brokers.empty() ? 0 : cluster->brokers.front(), done);
      });
}

void ClusterDoctor::AskSettings(std::shared_ptr<KafkaFacts> facts, int32_t any_broker, Done done) {
  std::vector<std::string> names;
  for (const auto& topic : facts->topics) names.push_back(topic.layout.name);
  broker::InspectorOf(broker_.admin())
      .DescribeTopicSettings(names, [this, facts, any_broker,
                                     done](Result<std::vector<broker::KafkaSettings>> settings) {
        if (!settings.ok()) return done({CannotAsk(settings.error())});
        for (size_t i = 0; i < facts->topics.size(); ++i) {
          facts->topics[i].settings = std::move((*settings)[i]);
        }
        broker::InspectorOf(broker_.admin())
            .DescribeBrokerSettings(any_broker,
                                    [this, facts, done](Result<broker::KafkaSettings> of_broker) {
                                      // Without the right to ask, the other checks go on.
                                      if (of_broker.ok())
                                        facts->broker_settings = std::move(*of_broker);
                                      AskGroups(facts, done);
                                    });
      });
}

void ClusterDoctor::AskGroups(std::shared_ptr<KafkaFacts> facts, Done done) {
  if (facts->groups.size() == std::size(kGroups)) return done(JudgeKafka(*facts));
  std::string group = kGroups[facts->groups.size()];
  broker_.admin().DescribeGroup(
      group, [this, facts, group, done = std::move(done)](Result<broker::GroupInfo> info) {
        facts->groups.emplace_back(group,
                                   info.ok() ? std::optional(info->members.size()) : std::nullopt);
        AskGroups(facts, done);
      });
}

}  // namespace dispatch
