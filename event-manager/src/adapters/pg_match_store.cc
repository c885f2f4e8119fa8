#include "event-manager/src/adapters/pg_match_store.h"

#include <map>
#include <set>
#include <string>

namespace dispatch {

namespace {

using pg::EncodeArray;
using pg::EncodeBytea;
using pg::Value;

constexpr char kClaim[] = R"(
  insert into checkpoints (topic, partition, epoch)
  select topic, partition, 1 from unnest($1::uuid[], $2::int[]) as v(topic, partition)
  order by topic, partition
  on conflict (topic, partition) do update set epoch = checkpoints.epoch + 1
  returning topic, partition, epoch, position, state)";

constexpr char kReadCursors[] = R"(
  select c.topic, c.partition, c.subscription, c.generation, c.live_from, c.live_until, c.paused_at,
    c.version
  from cursors c join unnest($1::uuid[], $2::int[]) as v(topic, partition)
    on c.topic = v.topic and c.partition = v.partition)";

constexpr char kSave[] = R"(
  update checkpoints c set position = v.position, state = v.state, saved_at = now()
  from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::bytea[])
    as v(topic, partition, epoch, position, state)
  where c.topic = v.topic and c.partition = v.partition and c.epoch = v.epoch
  returning c.topic, c.partition)";

constexpr char kSaveCursors[] = R"(
  insert into cursors
    (topic, partition, subscription, generation, live_from, live_until, paused_at, version, epoch)
  select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::int[], $5::bigint[], $6::bigint[],
                       $7::bigint[], $8::bigint[], $9::bigint[])
  on conflict (topic, partition, subscription) do update set
    generation = excluded.generation, live_from = excluded.live_from,
    live_until = excluded.live_until, paused_at = excluded.paused_at, version = excluded.version, epoch = excluded.epoch
  where cursors.epoch <= excluded.epoch)";

constexpr char kReadMatched[] = R"(
  select topic, partition, state from checkpoints where topic = any($1::uuid[]))";

constexpr char kRemoveCursors[] = R"(
  delete from cursors c using unnest($1::uuid[], $2::int[], $3::uuid[])
    as v(topic, partition, subscription)
  where c.topic = v.topic and c.partition = v.partition and c.subscription = v.subscription)";

Uuid ReadUuid(const pg::Row& row, size_t column) {
  auto parsed = Uuid::Parse(row.Text(column));
  return parsed.ok() ? *parsed : Uuid{};
}

struct Keys {
  std::vector<Value> topics;
  std::vector<Value> partitions;
  void Add(const PartitionId& id) {
    topics.emplace_back(id.topic.ToString());
    partitions.emplace_back(std::to_string(id.partition));
  }
};

Result<std::vector<PartitionState>> RunClaim(pg::Transaction& tx,
                                             const std::vector<PartitionId>& partitions) {
  Keys keys;
  for (const auto& id : partitions) keys.Add(id);
  std::string topics = EncodeArray(keys.topics);
  std::string numbers = EncodeArray(keys.partitions);
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kClaim, {topics, numbers}));
  std::map<PartitionId, PartitionState> states;
  for (size_t i = 0; i < rows.size(); ++i) {
    PartitionState state;
    state.id = {ReadUuid(rows[i], 0), static_cast<int32_t>(rows[i].Int(1))};
    state.epoch = rows[i].Int(2);
    if (!rows[i].IsNull(3)) state.position = rows[i].Int(3);
    if (std::string blob = rows[i].Bytes(4); !blob.empty()) {
      ASSIGN_OR_RETURN(state.checkpoint, schema::Decode<schema::MatchCheckpoint>(blob));
    }
    PartitionId id = state.id;
    states.emplace(id, std::move(state));
  }
  ASSIGN_OR_RETURN(auto cursors, tx.Exec(kReadCursors, {topics, numbers}));
  for (size_t i = 0; i < cursors.size(); ++i) {
    auto row = cursors[i];
    auto it = states.find({ReadUuid(row, 0), static_cast<int32_t>(row.Int(1))});
    if (it == states.end()) continue;
    Cursor cursor{ReadUuid(row, 2), static_cast<int32_t>(row.Int(3)),
                  row.Int(4),       row.Int(5),
                  std::nullopt,     row.Int(7)};
    if (!row.IsNull(6)) cursor.paused_at = row.Int(6);
    it->second.cursors.push_back(cursor);
  }
  std::vector<PartitionState> ordered;
  for (const auto& id : partitions) {
    auto it = states.find(id);
    if (it == states.end()) return Error{Code::kInternal, "a claim returned no row"};
    ordered.push_back(std::move(it->second));
  }
  return ordered;
}

Status SaveCursors(pg::Transaction& tx, const std::vector<PartitionSave>& saves,
                   const std::set<PartitionId>& ours) {
  Keys changed;
  Keys removed;
  std::vector<Value> removed_subscriptions;
  std::vector<Value> subscription, generation, live_from, live_until, paused_at, version, epoch;
  for (const auto& save : saves) {
    if (!ours.contains(save.id)) continue;
    for (const auto& cursor : save.changed) {
      changed.Add(save.id);
      subscription.emplace_back(cursor.subscription.ToString());
      generation.emplace_back(std::to_string(cursor.generation));
      live_from.emplace_back(std::to_string(cursor.live_from));
      live_until.emplace_back(std::to_string(cursor.live_until));
      paused_at.push_back(cursor.paused_at ? Value(std::to_string(*cursor.paused_at)) : Value());
      version.emplace_back(std::to_string(cursor.version));
      epoch.emplace_back(std::to_string(save.epoch));
    }
    for (const auto& id : save.removed) {
      removed.Add(save.id);
      removed_subscriptions.emplace_back(id.ToString());
    }
  }
  if (!subscription.empty()) {
    RETURN_IF_ERROR(tx.Exec(
        kSaveCursors,
        {EncodeArray(changed.topics), EncodeArray(changed.partitions), EncodeArray(subscription),
         EncodeArray(generation), EncodeArray(live_from), EncodeArray(live_until),
         EncodeArray(paused_at), EncodeArray(version), EncodeArray(epoch)}));
  }
  if (!removed_subscriptions.empty()) {
    RETURN_IF_ERROR(
        tx.Exec(kRemoveCursors, {EncodeArray(removed.topics), EncodeArray(removed.partitions),
                                 EncodeArray(removed_subscriptions)}));
  }
  return {};
}

Result<std::vector<PartitionId>> RunSave(pg::Transaction& tx,
                                         const std::vector<PartitionSave>& saves) {
  Keys keys;
  std::vector<Value> epochs, positions, states;
  for (const auto& save : saves) {
    keys.Add(save.id);
    epochs.emplace_back(std::to_string(save.epoch));
    positions.emplace_back(std::to_string(save.position));
    states.emplace_back(EncodeBytea(schema::Encode(save.checkpoint)));
  }
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kSave, {EncodeArray(keys.topics),
                                              EncodeArray(keys.partitions), EncodeArray(epochs),
                                              EncodeArray(positions), EncodeArray(states)}));
  std::set<PartitionId> ours;
  for (size_t i = 0; i < rows.size(); ++i) {
    ours.insert({ReadUuid(rows[i], 0), static_cast<int32_t>(rows[i].Int(1))});
  }
  RETURN_IF_ERROR(SaveCursors(tx, saves, ours));
  std::vector<PartitionId> fenced;
  for (const auto& save : saves) {
    if (!ours.contains(save.id)) fenced.push_back(save.id);
  }
  return fenced;
}

Result<std::vector<PartitionMatched>> RunReadMatched(pg::Transaction& tx,
                                                     const std::vector<Uuid>& topics) {
  std::vector<Value> ids;
  for (const auto& topic : topics) ids.emplace_back(topic.ToString());
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadMatched, {EncodeArray(ids)}));
  std::vector<PartitionMatched> all;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string blob = rows[i].Bytes(2);
    if (blob.empty()) continue;
    ASSIGN_OR_RETURN(auto checkpoint, schema::Decode<schema::MatchCheckpoint>(blob));
    all.push_back({{ReadUuid(rows[i], 0), static_cast<int32_t>(rows[i].Int(1))},
                   std::move(checkpoint.counters)});
  }
  return all;
}

}  // namespace

void PgMatchStore::Claim(std::vector<PartitionId> partitions,
                         std::function<void(Result<std::vector<PartitionState>>)> done) {
  pool_.Query<std::vector<PartitionState>>(
      [partitions = std::move(partitions)](pg::Transaction& tx) {
        return RunClaim(tx, partitions);
      },
      std::move(done));
}

void PgMatchStore::Save(std::vector<PartitionSave> saves,
                        std::function<void(Result<std::vector<PartitionId>>)> done) {
  auto shared = std::make_shared<std::vector<PartitionSave>>(std::move(saves));
  pool_.Query<std::vector<PartitionId>>(
      [shared](pg::Transaction& tx) { return RunSave(tx, *shared); }, std::move(done));
}

void PgMatchStore::ReadMatched(std::vector<Uuid> topics,
                               std::function<void(Result<std::vector<PartitionMatched>>)> done) {
  pool_.Query<std::vector<PartitionMatched>>(
      [topics = std::move(topics)](pg::Transaction& tx) { return RunReadMatched(tx, topics); },
      std::move(done));
}

}  // namespace dispatch
