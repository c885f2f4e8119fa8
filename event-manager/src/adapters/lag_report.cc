#include "event-manager/src/adapters/lag_report.h"

#include <algorithm>

#include "broker-adapters/topics.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

using EntityPtr = std::shared_ptr<const broker::Entity>;

constexpr char kCheckpoints[] = R"(
  select topic, partition, coalesce(position, 0), state from checkpoints
  where topic = any($1::uuid[]))";
constexpr char kCursors[] = R"(
  select topic, partition, subscription, generation, live_from, live_until, paused_at
  from cursors where topic = any($1::uuid[]))";

Uuid ReadUuid(const pg::Row& row, size_t column) {
  auto parsed = Uuid::Parse(row.Text(column));
  return parsed.ok() ? *parsed : Uuid{};
}

}  // namespace

struct LagReport::Query {
  std::vector<EntityPtr> subscriptions;
  std::map<Uuid, EntityPtr> topics;
  Checkpoints checkpoints;
  std::map<Uuid, std::vector<broker::Offsets>> ends;
  size_t waiting = 0;
  bool broker_away = false;
  Responder respond;
};

void LagReport::Register(broker::RpcServer& server) {
  server.Handle("lag.get", [this](schema::Request request, Responder respond) {
    Get(request, std::move(respond));
  });
}

Result<LagReport::Checkpoints> LagReport::ReadCheckpoints(pg::Transaction& tx,
                                                          const std::vector<Uuid>& topics) {
  std::vector<pg::Value> ids;
  for (const auto& topic : topics) ids.emplace_back(topic.ToString());
  std::string array = pg::EncodeArray(ids);
  Checkpoints all;
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kCheckpoints, {array}));
  for (size_t i = 0; i < rows.size(); ++i) {
    Checkpoint& checkpoint = all[{ReadUuid(rows[i], 0), static_cast<int32_t>(rows[i].Int(1))}];
    checkpoint.position = rows[i].Int(2);
    std::string blob = rows[i].Bytes(3);
    if (blob.empty()) continue;
    ASSIGN_OR_RETURN(checkpoint.state, schema::Decode<schema::MatchCheckpoint>(blob));
  }
  ASSIGN_OR_RETURN(auto cursors, tx.Exec(kCursors, {array}));
  for (size_t i = 0; i < cursors.size(); ++i) {
    auto row = cursors[i];
    Cursor cursor{ReadUuid(row, 2), static_cast<int32_t>(row.Int(3)),
                  row.Int(4),       row.Int(5),
                  std::nullopt,     0};
    if (!row.IsNull(6)) cursor.paused_at = row.Int(6);
    all[{ReadUuid(row, 0), static_cast<int32_t>(row.Int(1))}].cursors[cursor.subscription] = cursor;
  }
  return all;
}

void LagReport::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string name = json::GetString(*body, "subscription");
  auto query = std::make_shared<Query>();
  state_.ForEach(schema::kSubscriptionKind, [&](const EntityPtr& entity) {
    if (entity->org != request.org || (!name.empty() && entity->name != name)) return;
    query->subscriptions.push_back(entity);
    auto topic = state_.Find(schema::kTopicKind,
                             entity->org + "/" + json::GetString(entity->document, "topic"));
    if (topic != nullptr) query->topics[topic->uuid] = topic;
  });
  if (query->subscriptions.empty() && !name.empty()) {
    return respond(Error{Code::kNotFound, "subscription '" + name + "' does not exist"});
  }
  std::sort(query->subscriptions.begin(), query->subscriptions.end(),
            [](const EntityPtr& a, const EntityPtr& b) { return a->name < b->name; });
  query->respond = std::move(respond);
  std::vector<Uuid> topics;
  for (const auto& [uuid, topic] : query->topics) topics.push_back(uuid);
  pool_.Query<Checkpoints>([topics](pg::Transaction& tx) { return ReadCheckpoints(tx, topics); },
                           [this, query](Result<Checkpoints> checkpoints) {
                             if (!checkpoints.ok()) return query->respond(checkpoints.error());
                             query->checkpoints = std::move(*checkpoints);
                             ReadEnds(query);
                           });
}

void LagReport::ReadEnds(std::shared_ptr<Query> query) {
  auto finish = [this, query] {
    if (query->broker_away) {
      return query->respond(Error{Code::kUnavailable, "cannot read the ends of the topics"});
    }
    json::array subscriptions;
    for (const auto& entity : query->subscriptions) {
      subscriptions.push_back(Describe(*entity, *query));
    }
    json::array topics;
    for (const auto& [uuid, entity] : query->topics) {
      json::array partitions;
      const auto& ends = query->ends[uuid];
      for (size_t p = 0; p < ends.size(); ++p) {
        auto it = query->checkpoints.find({uuid, static_cast<int32_t>(p)});
        int64_t position = it == query->checkpoints.end() ? ends[p].earliest : it->second.position;
        partitions.push_back({{"partition", p},
                              {"position", position},
                              {"end", ends[p].latest},
                              {"lag", std::max<int64_t>(0, ends[p].latest - position)}});
      }
      topics.push_back({{"name", entity->name}, {"partitions", std::move(partitions)}});
    }
    broker::RpcReply reply;
    reply.body =
        json::object{{"subscriptions", std::move(subscriptions)}, {"topics", std::move(topics)}};
    query->respond(std::move(reply));
  };
  query->waiting = query->topics.size();
  if (query->waiting == 0) return finish();
  for (const auto& [uuid, topic] : query->topics) {
    broker_.admin().ListOffsets(
        broker::EventTopic(topic->org, topic->name),
        [query, uuid = uuid, finish](Result<std::vector<broker::Offsets>> offsets) {
          if (offsets.ok()) {
            query->ends[uuid] = std::move(*offsets);
          } else {
            query->broker_away = true;
          }
          if (--query->waiting == 0) finish();
        });
  }
}

json::object LagReport::Describe(const broker::Entity& entity, const Query& query) const {
  auto s = schema::ParseSubscription(entity.uuid, entity.org, entity.name, entity.version,
                                     entity.document);
  int64_t matched = 0;
  int64_t lost = 0;
  int64_t unread = 0;
  bool catching_up = false;
  auto ends = query.ends.find(s.topic_uuid);
  size_t partitions = ends == query.ends.end() ? 0 : ends->second.size();
  for (size_t p = 0; p < partitions; ++p) {
    int64_t end = ends->second[p].latest;
    auto it = query.checkpoints.find({s.topic_uuid, static_cast<int32_t>(p)});
    int64_t next = s.Boundary(static_cast<int32_t>(p));
    if (it != query.checkpoints.end()) {
      const Checkpoint& checkpoint = it->second;
      for (const auto& counter : checkpoint.state.counters) {
        if (counter.subscription != s.uuid) continue;
        matched += counter.matched;
        lost += counter.lost;
      }
      auto cursor = checkpoint.cursors.find(s.uuid);
      if (cursor != checkpoint.cursors.end()) {
        if (cursor->second.paused_at) {
          next = *cursor->second.paused_at;
        } else if (cursor->second.live_from != kForever && cursor->second.live_until == kForever) {
          next = std::max(checkpoint.position, cursor->second.live_from);
        }
      }
      for (const auto& session : checkpoint.state.sessions) {
        for (const auto& member : session.members) {
          if (member.subscription != s.uuid || member.until) continue;
          catching_up = true;
          next = std::max(session.position, member.from);
        }
      }
    }
    unread += std::max<int64_t>(0, end - next);
  }
  auto progress = progress_.Of(s.uuid);
  // On its way between the managers: matched, and not told of yet.
  int64_t in_transit = std::max<int64_t>(0, matched - progress.counters.received);
  json::object out;
  out["name"] = s.name;
  out["topic"] = s.topic;
  out["matched"] = matched;
  out["delivered"] = progress.counters.delivered;
  out["deadLettered"] = progress.counters.dead_lettered;
  out["cancelled"] = progress.counters.cancelled;
  out["pending"] = {{"queued", progress.queued + in_transit},
                    {"inFlight", progress.in_flight},
                    {"retrying", progress.retrying}};
  out["unread"] = unread;
  out["lost"] = lost;
  out["mode"] = s.paused ? "paused" : catching_up ? "catching-up" : "live";
  out["oldestPending"] = nullptr;
  if (progress.oldest_pending_ms > 0) {
    WallTime oldest = FromMillis(progress.oldest_pending_ms);
    out["oldestPending"] = schema::FormatRfc3339(oldest);
    out["oldestPendingSeconds"] =
        std::max(0.0, static_cast<double>((loop_.Now() - oldest).count()) / 1e6);
  }
  if (!progress.last_failure.empty()) out["lastFailure"] = progress.last_failure;
  return out;
}

}  // namespace dispatch
