#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"
#include "event-manager/src/adapters/progress_table.h"
#include "event-manager/src/adapters/record_times.h"
#include "event-manager/src/domain/allowance.h"
#include "event-manager/src/domain/lag_figures.h"
#include "event-manager/src/domain/lag_history.h"
#include "event-manager/src/domain/lag_verdict.h"

namespace dispatch {

/// Where subscriptions stand, as one look found it.
struct LagBoard {
  using EntityPtr = std::shared_ptr<const broker::Entity>;
  struct Subscription {
    EntityPtr entity;
    std::string topic;
    LagFigures figures;
    ProgressSum progress;
    LagTrend trend;
    LagVerdict verdict;
  };
  struct Topic {
    EntityPtr entity;
    std::vector<PartitionLag> partitions;  // of the shared read
  };
  int64_t at_ms = 0;
  std::vector<Subscription> subscriptions;
  std::vector<Topic> topics;
  std::optional<size_t> matching_members;    // of the group that matches; nothing: unknown
  std::optional<size_t> delivering_members;  // of the group that delivers
};

/// Looks at subscriptions: checkpoints of all partitions from PostgreSQL, whoever owns them, the
/// log's ends and the times of what is unread from Kafka, the progress that function-manager told;
/// and keeps a short history of each for its trend and verdict. One owner.
class LagSurvey {
 public:
  LagSurvey(broker::Broker& broker, Loop& loop, pg::Pool& pool, const broker::StateTable& state,
            const ProgressTable& progress, const Allowance::Limits& limits)
      : broker_(broker),
        loop_(loop),
        pool_(pool),
        state_(state),
        progress_(progress),
        limits_(limits),
        times_(broker, loop) {}

  using Done = std::function<void(Result<LagBoard>)>;
  /// The board of these subscriptions and of their topics, in this order.
  void Look(std::vector<LagBoard::EntityPtr> subscriptions, Done done);
  /// Drops the history of what does not exist any more.
  void Forget();

 private:
  struct Query;
  struct Group {
    std::optional<broker::GroupInfo> info;
    SteadyTime asked{};
  };

  void ReadEnds(std::shared_ptr<Query> query);
  void ReadTimes(std::shared_ptr<Query> query);
  void AskGroup(const std::string& group, std::function<void()> then);
  void Finish(Query& query);
  LagSituation Situation(const LagBoard::Subscription& subscription) const;
  static Result<LagCheckpoints> ReadCheckpoints(pg::Transaction& tx,
                                                const std::vector<Uuid>& topics);

  broker::Broker& broker_;
  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& state_;
  const ProgressTable& progress_;
  Allowance::Limits limits_;
  RecordTimes times_;
  std::unordered_map<Uuid, LagHistory> histories_;
  std::unordered_map<Uuid, PlaceHistory> places_;
  std::unordered_map<Uuid, int64_t> in_transit_since_;
  std::map<std::string, Group> groups_;
  std::set<broker::TopicPartition> owned_;  // of the event topics, by any event-manager
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
