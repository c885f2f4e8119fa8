#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"
#include "event-manager/src/adapters/progress_table.h"
#include "event-manager/src/domain/match_store.h"

namespace dispatch {

/// `lag.get`: where every subscription of an organisation stands, from the checkpoints of all
/// partitions (whoever owns them), the log's ends, and function-manager's progress. Body:
/// {"subscription": name?}; answers {"subscriptions": [...], "topics": [...]}. One owner.
class LagReport {
 public:
  LagReport(broker::Broker& broker, Loop& loop, pg::Pool& pool, const broker::StateTable& state,
            const ProgressTable& progress)
      : broker_(broker), loop_(loop), pool_(pool), state_(state), progress_(progress) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;
  struct Checkpoint {
    int64_t position = 0;
    schema::MatchCheckpoint state;
    std::map<Uuid, Cursor> cursors;
  };
  using Checkpoints = std::map<PartitionId, Checkpoint>;
  struct Query;

  void Get(const schema::Request& request, Responder respond);
  void ReadEnds(std::shared_ptr<Query> query);
  json::object Describe(const broker::Entity& entity, const Query& query) const;
  static Result<Checkpoints> ReadCheckpoints(pg::Transaction& tx, const std::vector<Uuid>& topics);

  broker::Broker& broker_;
  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& state_;
  const ProgressTable& progress_;
};

}  // namespace dispatch
