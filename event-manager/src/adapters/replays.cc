#include "event-manager/src/adapters/replays.h"

#include <algorithm>

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

using schema::kReplayKind;
using schema::kSubscriptionKind;

bool IsOf(const json::object& replay, const StoredEntity& subscription) {
  const auto* internal = json::GetObject(replay, "internal");
  return internal != nullptr &&
         json::GetString(*internal, "subscription") == subscription.uuid.ToString();
}

Error NoReplay(const std::string& id) {
  return {Code::kNotFound, "replay '" + id + "' does not exist: GET the subscription's replays"};
}

// How far it is.
json::object Progress(const LagBoard::Subscription& row) {
  const LagFigures& f = row.figures;
  int64_t offsets = json::GetInt(row.entity->document, "offsets");
  json::object progress{{"read", offsets - f.unread},
                        {"matched", f.matched},
                        {"delivered", f.delivered},
                        {"deadLettered", f.dead_lettered},
                        {"cancelled", f.cancelled},
                        {"pending",
                         {{"queued", f.queued},
                          {"inFlight", f.in_flight},
                          {"retrying", f.retrying},
                          {"scheduled", f.scheduled}}},
                        {"lost", f.lost}};
  return progress;
}

Result<StoredEntity> InsertReplay(pg::Transaction& tx, StoredEntity entity, const std::string& name,
                                  const ReplayRequest& replay, const json::object& given,
                                  const std::vector<int64_t>& begins,
                                  const std::vector<int64_t>& ends) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto subscription, store.Lock(kSubscriptionKind, entity.org, name));
  ASSIGN_OR_RETURN(auto all, store.List(kReplayKind, entity.org));
  auto running = std::count_if(all.begin(), all.end(), [&](const StoredEntity& other) {
    return schema::IsRunningReplay(other.document) && IsOf(other.document, subscription);
  });
  if (running >= static_cast<int64_t>(Replays::kMostRunning)) {
    return Error{Code::kConflict, "subscription '" + name + "' has " + std::to_string(running) +
                                      " replays under way: wait for one, or cancel it"};
  }
  json::object times = std::move(entity.document);
  entity.document = ReplayDocument(subscription.document, replay, given, begins, ends);
  for (auto& [field, value] : times) entity.document[field] = value;
  entity.document["id"] = entity.name;
  entity.document["internal"].as_object()["subscription"] = subscription.uuid.ToString();
  RETURN_IF_ERROR(store.Insert(entity));
  return entity;
}

}  // namespace

Replays::Replays(broker::Broker& broker, Loop& loop, pg::Pool& pool,
                 const broker::StateTable& state, LagSurvey& survey, std::function<bool()> leads,
                 std::function<void()> committed, Options options)
    : loop_(loop),
      pool_(pool),
      state_(state),
      survey_(survey),
      places_(broker, loop),
      leads_(std::move(leads)),
      committed_(std::move(committed)),
      options_(options) {}

Replays::~Replays() { loop_.Cancel(tick_); }

void Replays::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("replay.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  handle("replay.cancel", [this](const auto& r, auto d) { Cancel(r, std::move(d)); });
  server.Handle("replay.get", [this](schema::Request r, Responder d) { Get(r, std::move(d)); });
}

void Replays::Create(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto replay = ParseReplayRequest(*body);
  if (!replay.ok()) return respond(replay.error());
  pool_.Query<StoredEntity>(
      [org = request.org, name = json::GetString(*body, "name")](pg::Transaction& tx) {
        return EntityStore(tx).Lock(kSubscriptionKind, org, name);
      },
      [this, request, replay = *replay, body = *body,
       respond = std::move(respond)](Result<StoredEntity> subscription) mutable {
        if (!subscription.ok()) return respond(subscription.error());
        std::string topic = broker::EventTopic(
            request.org, json::GetString(subscription->document, "topic", "default"));
        places_.Find(
            topic, StartAt{},
            [this, topic, request, replay, body,
             respond = std::move(respond)](Result<LogPlaces::Boundaries> now) mutable {
              if (!now.ok()) return respond(now.error());
              places_.Find(
                  topic, replay.to,
                  [this, topic, request, replay, body, now = *now,
                   respond = std::move(respond)](Result<LogPlaces::Boundaries> to) mutable {
                    if (!to.ok()) return respond(to.error());
                    // What is not there yet is live's.
                    for (size_t p = 0; p < to->size() && p < now.size(); ++p) {
                      (*to)[p] = std::min((*to)[p], now[p]);
                    }
                    places_.Find(
                        topic, replay.from,
                        [this, request, replay, body, to = *to,
                         respond = std::move(respond)](Result<LogPlaces::Boundaries> from) mutable {
                          if (!from.ok()) return respond(from.error());
                          Insert(request, replay, body, *from, to, std::move(respond));
                        });
                  });
            });
      });
}

void Replays::Insert(const schema::Request& request, const ReplayRequest& replay,
                     const json::object& body, const LogPlaces::Boundaries& begins,
                     const LogPlaces::Boundaries& ends, Responder respond) {
  StoredEntity entity;
  entity.kind = kReplayKind;
  entity.org = request.org;
  entity.uuid = Uuid::V7(loop_.Now());
  entity.name = entity.uuid.ToString();  // these sort by time
  entity.document["createdTime"] = schema::FormatRfc3339(loop_.Now());
  AnswerWithEntity(
      pool_, request,
      [entity, name = json::GetString(body, "name"), replay, body, begins,
       ends](pg::Transaction& tx) {
        return InsertReplay(tx, entity, name, replay, body, begins, ends);
      },
      Committing(committed_, std::move(respond)));
}

// Of the subscription that the request names too.
Replays::EntityPtr Replays::Find(const schema::Request& request, const json::object& body) const {
  auto found = state_.Find(kReplayKind, request.org + "/" + json::GetString(body, "id"));
  bool same = found != nullptr &&
              json::GetString(found->document, "subscription") == json::GetString(body, "name");
  return same ? found : nullptr;
}

void Replays::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto entity = Find(request, *body);
  if (entity == nullptr) return respond(NoReplay(json::GetString(*body, "id")));
  broker::RpcReply reply;
  if (!schema::IsRunningReplay(entity->document)) {
    reply.body = json::object{};  // its document has all
    return respond(std::move(reply));
  }
  survey_.Look({entity}, [respond = std::move(respond)](Result<LagBoard> board) {
    if (!board.ok()) return respond(board.error());
    broker::RpcReply reply;
    reply.body = json::object{{"progress", Progress(board->subscriptions.front())}};
    respond(std::move(reply));
  });
}

void Replays::Cancel(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto entity = Find(request, *body);
  if (entity == nullptr) return respond(NoReplay(json::GetString(*body, "id")));
  if (!schema::IsRunningReplay(entity->document)) return Write(request, {}, std::move(respond));
  survey_.Look({entity}, [this, alive = std::weak_ptr(alive_), request,
                          respond = std::move(respond)](Result<LagBoard> board) mutable {
    if (alive.expired()) return;
    if (!board.ok()) return respond(board.error());
    Write(request, Progress(board->subscriptions.front()), std::move(respond));
  });
}

// Cancelled, with what it had come to; one that is over stays as it is.
void Replays::Write(const schema::Request& request, std::optional<json::object> progress,
                    Responder respond) {
  auto body = json::ParseObject(request.body);
  AnswerWithEntity(
      pool_, request,
      [request, id = json::GetString(*body, "id"), progress = std::move(progress),
       now = loop_.Now()](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kReplayKind, request.org, id));
        if (!schema::IsRunningReplay(stored.document)) return stored;
        stored.document["status"] = "CANCELLED";
        stored.document["finishedTime"] = schema::FormatRfc3339(now);
        if (progress) stored.document["progress"] = *progress;
        RETURN_IF_ERROR(store.Update(stored, std::nullopt));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void Replays::Tick() {
  tick_ = loop_.After(options_.interval, [this] { Tick(); });
  if (looking_ || !state_.ready() || !leads_()) return;
  std::vector<EntityPtr> running;
  std::vector<EntityPtr> old;
  int64_t before = ToMillis(loop_.Now()) - options_.keep.count();
  state_.ForEach(kReplayKind, [&](const EntityPtr& entity) {
    if (schema::IsRunningReplay(entity->document)) return running.push_back(entity);
    auto ended = schema::ParseRfc3339(json::GetString(entity->document, "finishedTime"));
    if (ended.ok() && ToMillis(*ended) < before) old.push_back(entity);
  });
  if (!old.empty()) Forget(old);
  if (!running.empty()) Look(std::move(running));
}

void Replays::Look(std::vector<EntityPtr> running) {
  looking_ = true;
  survey_.Look(std::move(running), [this, alive = std::weak_ptr(alive_)](Result<LagBoard> board) {
    if (alive.expired()) return;
    looking_ = false;
    if (!board.ok()) return;
    for (const auto& row : board->subscriptions) {
      if (row.figures.outstanding() + row.figures.scheduled == 0) Finish(row);
    }
  });
}

void Replays::Finish(const LagBoard::Subscription& row) {
  pool_.Run(
      [org = row.entity->org, name = row.entity->name, progress = Progress(row),
       now = loop_.Now()](pg::Transaction& tx) -> Status {
        EntityStore store(tx);
        auto stored = store.Lock(kReplayKind, org, name);
        if (!stored.ok()) return stored.code() == Code::kNotFound ? OkStatus() : stored.status();
        if (!schema::IsRunningReplay(stored->document)) return {};
        stored->document["status"] = "DONE";
        stored->document["finishedTime"] = schema::FormatRfc3339(now);
        stored->document["progress"] = progress;
        return store.Update(*stored, std::nullopt);
      },
      [this, alive = std::weak_ptr(alive_), name = row.entity->name](const Status& status) {
        if (alive.expired()) return;
        if (status.ok()) return committed_();
        log::Warning("replay not marked as done replay={} error=\"{}\"", name, status.message());
      });
}

void Replays::Forget(const std::vector<EntityPtr>& old) {
  pool_.Run(
      [old](pg::Transaction& tx) -> Status {
        EntityStore store(tx);
        for (const auto& entity : old) {
          auto stored = store.Lock(kReplayKind, entity->org, entity->name);
          if (!stored.ok() && stored.code() == Code::kNotFound) continue;
          if (!stored.ok()) return stored.status();
          RETURN_IF_ERROR(store.Delete(*stored, std::nullopt));
        }
        return {};
      },
      [this, alive = std::weak_ptr(alive_)](const Status& status) {
        if (!alive.expired() && status.ok()) committed_();
      });
}

Status UpdateReplays(EntityStore& store, const StoredEntity& subscription) {
  ASSIGN_OR_RETURN(auto replays, store.List(kReplayKind, subscription.org));
  for (auto& replay : replays) {
    if (!IsOf(replay.document, subscription)) continue;
    FollowSubscription(subscription.document, replay.document);
    RETURN_IF_ERROR(store.Update(replay, std::nullopt));
  }
  return {};
}

Status DeleteReplays(EntityStore& store, const StoredEntity& subscription) {
  ASSIGN_OR_RETURN(auto replays, store.List(kReplayKind, subscription.org));
  for (auto& replay : replays) {
    if (!IsOf(replay.document, subscription)) continue;
    RETURN_IF_ERROR(store.Delete(replay, std::nullopt));
  }
  return {};
}

}  // namespace dispatch
