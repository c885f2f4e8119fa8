#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"
#include "event-manager/src/adapters/lag_survey.h"
#include "event-manager/src/adapters/log_places.h"
#include "event-manager/src/domain/replay_request.h"

namespace dispatch {

/// Replays: a stretch of a topic delivered once more to one subscription, beside what is live
/// (docs/decisions/0008). Each is an entity of its own, which matching and delivering take for a
/// subscription with an end: so its progress is durable, and its counters are its own.
///
/// `replay.create` {"name", "from", "to", "filter", "rate"}, `replay.cancel` {"name", "id"},
/// `replay.get` the same; lists are read from the state topic. Whoever leads marks those that are
/// done, and forgets them after a week. One owner.
class Replays {
 public:
  static constexpr size_t kMostRunning = 4;  // of a subscription
  struct Options {
    Duration interval = std::chrono::seconds(1);
    std::chrono::milliseconds keep = std::chrono::hours(24 * 7);
  };

  Replays(broker::Broker& broker, Loop& loop, pg::Pool& pool, const broker::StateTable& state,
          LagSurvey& survey, std::function<bool()> leads, std::function<void()> committed,
          Options options);
  ~Replays();

  void Register(broker::RpcServer& server);
  void Start() { Tick(); }

 private:
  using Responder = broker::RpcServer::Responder;
  using EntityPtr = LagBoard::EntityPtr;

  void Create(const schema::Request& request, Responder respond);
  void Insert(const schema::Request& request, const ReplayRequest& replay, const json::object& body,
              const LogPlaces::Boundaries& begins, const LogPlaces::Boundaries& ends,
              Responder respond);
  void Get(const schema::Request& request, Responder respond);
  void Cancel(const schema::Request& request, Responder respond);
  void Write(const schema::Request& request, std::optional<json::object> progress,
             Responder respond);
  void Tick();
  void Look(std::vector<EntityPtr> running);
  void Finish(const LagBoard::Subscription& row);
  void Forget(const std::vector<EntityPtr>& old);
  EntityPtr Find(const schema::Request& request, const json::object& body) const;

  Loop& loop_;
  pg::Pool& pool_;
  const broker::StateTable& state_;
  LagSurvey& survey_;
  LogPlaces places_;
  std::function<bool()> leads_;
  std::function<void()> committed_;
  const Options options_;
  TimerId tick_ = kNoTimer;
  bool looking_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Of a subscription that is updated or deleted, in its transaction: its replays get its target and
/// settings, or go with it.
Status UpdateReplays(EntityStore& store, const StoredEntity& subscription);
Status DeleteReplays(EntityStore& store, const StoredEntity& subscription);

}  // namespace dispatch
