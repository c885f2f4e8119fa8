#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "broker-adapters/inspector.h"
#include "broker-adapters/state_table.h"
#include "common/finding.h"
#include "event-manager/src/adapters/lag_survey.h"
#include "event-manager/src/domain/kafka_health.h"

namespace dispatch {

/// What `doctor.report` tells of Kafka and of subscriptions. One owner.
class ClusterDoctor {
 public:
  using Done = std::function<void(Findings)>;

  /// `wanted`: the internal topics as the services make them.
  ClusterDoctor(broker::Broker& broker, const broker::StateTable& state, LagSurvey& survey,
                std::vector<broker::TopicSpec> wanted)
      : broker_(broker), state_(state), survey_(survey), wanted_(std::move(wanted)) {}

  void LookAtKafka(Done done);
  void LookAtSubscriptions(Done done);

 private:
  void AddTopics(const broker::ClusterInfo& cluster, KafkaFacts* facts) const;
  void AskSettings(std::shared_ptr<KafkaFacts> facts, int32_t any_broker, Done done);
  void AskGroups(std::shared_ptr<KafkaFacts> facts, Done done);

  broker::Broker& broker_;
  const broker::StateTable& state_;
  LagSurvey& survey_;
  std::vector<broker::TopicSpec> wanted_;
};

/// Of subscriptions, those that are in need. Pure.
Findings JudgeSubscriptions(const LagBoard& board);

}  // namespace dispatch
