#include "event-manager/src/adapters/lag_survey.h"

#include <algorithm>

#include "broker-adapters/topics.h"
#include "common/config.h"

namespace dispatch {

namespace {

using EntityPtr = LagBoard::EntityPtr;

constexpr char kMatchingGroup[] = "dispatch.event-manager";
constexpr char kDeliveringGroup[] = "dispatch.function-manager";
constexpr Duration kGroupAge = std::chrono::seconds(2);
constexpr int64_t kUnownedAfter = 3'000;  // ms: a rebalance is not worth a word

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

std::string KafkaName(const broker::Entity& topic) {
  return broker::EventTopic(topic.org, topic.name);
}

int64_t RetentionMs(const broker::Entity* topic) {
  const auto* retention = topic ? json::GetObject(topic->document, "retention") : nullptr;
  if (retention == nullptr) return 0;
  auto time = ParseDuration(json::GetString(*retention, "time"));
  return time.ok() ? time->count() / 1000 : 0;
}

bool BoundedBytes(const broker::Entity* topic) {
  const auto* retention = topic ? json::GetObject(topic->document, "retention") : nullptr;
  return retention != nullptr && json::GetInt(*retention, "bytes", -1) > 0;
}

// 0 stands for none.
void EarlierOf(int64_t& earliest_ms, int64_t ms) {
  if (earliest_ms == 0 || ms < earliest_ms) earliest_ms = ms;
}

schema::Subscription Parse(const broker::Entity& entity) {
  if (entity.kind == schema::kReplayKind) {
    return schema::ParseReplay(entity.uuid, entity.org, entity.version, entity.document);
  }
  return schema::ParseSubscription(entity.uuid, entity.org, entity.name, entity.version,
                                   entity.document);
}

std::string DisabledReason(const broker::Entity& entity) {
  if (json::GetString(entity.document, "status") != "ERROR") return {};
  const auto* reasons = json::GetArray(entity.document, "reason");
  if (reasons == nullptr || reasons->empty() || !reasons->front().is_string()) return "in error";
  return std::string(reasons->front().get_string());
}

}  // namespace

struct LagSurvey::Query {
  std::vector<EntityPtr> subscriptions;
  std::vector<schema::Subscription> parsed;
  std::map<Uuid, EntityPtr> topics;
  LagCheckpoints checkpoints;
  std::map<Uuid, std::vector<broker::Offsets>> ends;
  LagBoard board;
  size_t waiting = 0;
  std::optional<Error> error;
  Done done;
};

Result<LagCheckpoints> LagSurvey::ReadCheckpoints(pg::Transaction& tx,
                                                  const std::vector<Uuid>& topics) {
  std::vector<pg::Value> ids;
  for (const auto& topic : topics) ids.emplace_back(topic.ToString());
  std::string array = pg::EncodeArray(ids);
  LagCheckpoints all;
  // Cursors first: with one that is newer than its checkpoint, the position would be too low, and
  // with one that is older, unread events would be counted that a session is at already.
  ASSIGN_OR_RETURN(auto cursors, tx.Exec(kCursors, {array}));
  for (size_t i = 0; i < cursors.size(); ++i) {
    auto row = cursors[i];
    Cursor cursor{ReadUuid(row, 2), static_cast<int32_t>(row.Int(3)),
                  row.Int(4),       row.Int(5),
                  std::nullopt,     0};
    if (!row.IsNull(6)) cursor.paused_at = row.Int(6);
    all[{ReadUuid(row, 0), static_cast<int32_t>(row.Int(1))}].cursors[cursor.subscription] = cursor;
  }
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kCheckpoints, {array}));
  for (size_t i = 0; i < rows.size(); ++i) {
    LagCheckpoint& checkpoint = all[{ReadUuid(rows[i], 0), static_cast<int32_t>(rows[i].Int(1))}];
    checkpoint.position = rows[i].Int(2);
    std::string blob = rows[i].Bytes(3);
    if (blob.empty()) continue;
    ASSIGN_OR_RETURN(checkpoint.state, schema::Decode<schema::MatchCheckpoint>(blob));
  }
  return all;
}

void LagSurvey::Look(std::vector<EntityPtr> subscriptions, Done done) {
  auto query = std::make_shared<Query>();
  query->subscriptions = std::move(subscriptions);
  query->done = std::move(done);
  for (const auto& entity : query->subscriptions) {
    query->parsed.push_back(Parse(*entity));
    auto topic = state_.Find(schema::kTopicKind, entity->org + "/" + query->parsed.back().topic);
    if (topic != nullptr) query->topics[topic->uuid] = topic;
  }
  std::vector<Uuid> topics;
  for (const auto& [uuid, topic] : query->topics) topics.push_back(uuid);
  pool_.Query<LagCheckpoints>(
      [topics](pg::Transaction& tx) { return ReadCheckpoints(tx, topics); },
      [this, alive = std::weak_ptr(alive_), query](Result<LagCheckpoints> checkpoints) {
        if (alive.expired()) return;
        if (!checkpoints.ok()) return query->done(checkpoints.error());
        query->checkpoints = std::move(*checkpoints);
        AskGroup(kMatchingGroup,
                 [this, query] { AskGroup(kDeliveringGroup, [this, query] { ReadEnds(query); }); });
      });
}

// The members of a group change seldom: they are asked for every two seconds at most.
void LagSurvey::AskGroup(const std::string& group, std::function<void()> then) {
  Group& known = groups_[group];
  SteadyTime now = loop_.Steady();
  if (known.asked != SteadyTime{} && now - known.asked < kGroupAge) return then();
  known.asked = now;
  broker_.admin().DescribeGroup(group, [this, alive = std::weak_ptr(alive_), group,
                                        then = std::move(then)](Result<broker::GroupInfo> info) {
    if (alive.expired()) return;
    Group& known = groups_[group];
    known.info = info.ok() ? std::optional(std::move(*info)) : std::nullopt;
    if (group == kMatchingGroup) {
      owned_.clear();
      for (const auto& member :
           known.info ? known.info->members : std::vector<broker::GroupInfo::Member>()) {
        owned_.insert(member.partitions.begin(), member.partitions.end());
      }
    }
    then();
  });
}

void LagSurvey::ReadEnds(std::shared_ptr<Query> query) {
  query->waiting = query->topics.size() + 1;
  auto arrived = [this, query] {
    if (--query->waiting > 0) return;
    if (query->error) return query->done(*query->error);
    ReadTimes(query);
  };
  for (const auto& [uuid, topic] : query->topics) {
    broker_.admin().ListOffsets(
        KafkaName(*topic), [query, uuid = uuid, arrived, alive = std::weak_ptr(alive_)](
                               Result<std::vector<broker::Offsets>> offsets) {
          if (alive.expired()) return;
          if (offsets.ok()) {
            query->ends[uuid] = std::move(*offsets);
          } else if (offsets.code() != Code::kNotFound) {  // that one is being deleted
            query->error = Error{Code::kUnavailable,
                                 "cannot read the ends of the topics: Kafka is away", true};
          }
          arrived();
        });
  }
  arrived();
}

void LagSurvey::ReadTimes(std::shared_ptr<Query> query) {
  auto& board = query->board;
  board.at_ms = ToMillis(loop_.Now());
  for (size_t i = 0; i < query->subscriptions.size(); ++i) {
    const auto& parsed = query->parsed[i];
    LagBoard::Subscription row;
    row.entity = query->subscriptions[i];
    row.topic = parsed.topic;
    row.progress = progress_.Of(parsed.uuid);
    row.figures =
        MeasureLag(parsed, query->checkpoints, query->ends[parsed.topic_uuid], row.progress);
    board.subscriptions.push_back(std::move(row));
  }
  query->waiting = 1;
  auto arrived = [this, query] {
    if (--query->waiting == 0) Finish(*query);
  };
  for (size_t i = 0; i < board.subscriptions.size(); ++i) {
    const auto& row = board.subscriptions[i];
    std::string topic = broker::EventTopic(row.entity->org, row.topic);
    for (size_t p = 0; p < row.figures.partitions.size(); ++p) {
      const auto& partition = row.figures.partitions[p];
      if (partition.unread() == 0) continue;
      ++query->waiting;
      times_.Find({topic, static_cast<int32_t>(p)}, std::max(partition.next, partition.earliest),
                  [query, i, p, arrived](std::optional<int64_t> time) {
                    auto& figures = query->board.subscriptions[i].figures;
                    if (time) {
                      figures.partitions[p].next_ms = *time;
                      EarlierOf(figures.oldest_ms, *time);
                      EarlierOf(figures.oldest_unread_ms, *time);
                    } else {
                      figures.oldest_exact = false;
                    }
                    arrived();
                  });
    }
  }
  arrived();
}

LagSituation LagSurvey::Situation(const LagBoard::Subscription& row) const {
  LagSituation s;
  s.now_ms = ToMillis(loop_.Now());
  s.figures = row.figures;
  s.trend = row.trend;
  s.progress = row.progress;
  s.most_scheduled = limits_.scheduled;
  s.most_pending = limits_.deliveries;
  auto places = places_.find(row.entity->uuid);
  if (places != places_.end()) s.still_since_ms = places->second.still_since_ms();
  s.disabled = DisabledReason(*row.entity);
  auto topic = state_.Find(schema::kTopicKind, row.entity->org + "/" + row.topic);
  s.retention_ms = RetentionMs(topic.get());
  s.bounded_bytes = BoundedBytes(topic.get());
  auto delivering = groups_.find(kDeliveringGroup);
  s.no_invoker = delivering != groups_.end() && delivering->second.info &&
                 delivering->second.info->members.empty();
  auto matching = groups_.find(kMatchingGroup);
  bool old = s.figures.oldest_ms > 0 && s.now_ms - s.figures.oldest_ms > kUnownedAfter;
  if (matching == groups_.end() || !matching->second.info || !old) return s;
  std::string name = broker::EventTopic(row.entity->org, row.topic);
  for (size_t p = 0; p < s.figures.partitions.size(); ++p) {
    auto partition = static_cast<int32_t>(p);
    bool unread = s.figures.partitions[p].unread() > 0;
    if (unread && !owned_.contains({name, partition})) s.unowned.push_back(partition);
  }
  return s;
}

void LagSurvey::Finish(Query& query) {
  auto& board = query.board;
  for (auto& row : board.subscriptions) {
    auto& figures = row.figures;
    const Uuid& uuid = row.entity->uuid;
    // Between the managers nobody tells the times: not before it was seen to be there.
    if (figures.matched > row.progress.counters.received) {
      int64_t since = in_transit_since_.emplace(uuid, board.at_ms).first->second;
      figures.oldest_exact = false;
      EarlierOf(figures.oldest_ms, since);
    } else {
      in_transit_since_.erase(uuid);
    }
    int64_t ends = 0;
    for (const auto& partition : figures.partitions) ends += partition.end;
    LagHistory& history = histories_[uuid];
    history.Add({board.at_ms, figures.settled(), figures.delivered, figures.outstanding(),
                 figures.lost, ends});
    row.trend = history.Trend();
    places_[uuid].Add(board.at_ms, figures.partitions);
    row.verdict = JudgeLag(Situation(row));
  }
  for (const auto& [uuid, entity] : query.topics) {
    LagBoard::Topic topic{entity, {}};
    const auto& ends = query.ends[uuid];
    for (size_t p = 0; p < ends.size(); ++p) {
      auto it = query.checkpoints.find({uuid, static_cast<int32_t>(p)});
      int64_t position = it == query.checkpoints.end() ? ends[p].earliest : it->second.position;
      topic.partitions.push_back({position, ends[p].latest, ends[p].earliest});
    }
    board.topics.push_back(std::move(topic));
  }
  auto members = [this](const char* group) {
    const auto& info = groups_[group].info;
    return info ? std::optional(info->members.size()) : std::nullopt;
  };
  board.matching_members = members(kMatchingGroup);
  board.delivering_members = members(kDeliveringGroup);
  query.done(std::move(board));
}

void LagSurvey::Forget() {
  std::set<Uuid> present;
  state_.ForEach(schema::kSubscriptionKind,
                 [&](const EntityPtr& entity) { present.insert(entity->uuid); });
  state_.ForEach(schema::kReplayKind,
                 [&](const EntityPtr& entity) { present.insert(entity->uuid); });
  std::erase_if(histories_, [&](const auto& item) { return !present.contains(item.first); });
  std::erase_if(places_, [&](const auto& item) { return !present.contains(item.first); });
  std::erase_if(in_transit_since_, [&](const auto& item) { return !present.contains(item.first); });
}

}  // namespace dispatch
