#include "function-manager/src/adapters/pg_invoke_store.h"

#include <map>
#include <memory>
#include <set>
#include <string>

#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/redrive_jobs.h"

namespace dispatch {

namespace {

using pg::EncodeArray;
using pg::EncodeBytea;
using pg::Value;

constexpr char kClaim[] = R"(
  insert into checkpoints (partition, epoch, clean)
  select partition, 1, false from unnest($1::int[]) as v(partition) order by partition
  on conflict (partition) do update set epoch = checkpoints.epoch + 1, clean = false,
    unclean_starts = case when checkpoints.clean then 0 else checkpoints.unclean_starts + 1 end
  returning partition, epoch, position, state, unclean_starts)";

constexpr char kTrials[] = R"(
  select topic, source_partition, source_offset, subscription, generation, replay, partition, crashes
  from trials where partition = any($1::int[]))";

constexpr char kStrikeOut[] = R"(
  delete from trials t using unnest($1::int[], $2::uuid[], $3::int[], $4::bigint[], $5::uuid[],
    $6::int[], $7::uuid[])
    as v(partition, topic, source_partition, source_offset, subscription, generation, replay)
  where t.partition = v.partition and t.topic = v.topic
    and t.source_partition = v.source_partition and t.source_offset = v.source_offset
    and t.subscription = v.subscription and t.generation = v.generation and t.replay = v.replay)";

constexpr char kNote[] = R"(
  insert into trials (partition, topic, source_partition, source_offset, subscription, generation,
    replay, crashes)
  select $1::int, $2::uuid, $3::int, $4::bigint, $5::uuid, $6::int, $7::uuid, $8::int
  from checkpoints where partition = $1::int and epoch = $9::bigint
  on conflict (partition, topic, source_partition, source_offset, subscription, generation, replay)
  do update set crashes = excluded.crashes)";

constexpr char kLived[] = R"(
  update checkpoints c set clean = c.clean or c.epoch = v.epoch,
    unclean_starts = case when c.epoch = v.epoch then c.unclean_starts
      else greatest(c.unclean_starts - 1, 0) end
  from unnest($1::int[], $2::bigint[]) as v(partition, epoch)
  where c.partition = v.partition and c.epoch in (v.epoch, v.epoch + 1))";

// By the second, of which the first is told.
constexpr char kWaiting[] = R"(
  select partition, subscription, count(*), min(since_ms), delayed
  from (select partition, subscription, deliver_at_ms > 0 as delayed,
      case when deliver_at_ms > 0 then deliver_at_ms else source_timestamp_ms end as since_ms
    from retries where partition = any($1::int[])) waiting
  group by partition, subscription, delayed, since_ms / 1000)";

constexpr char kBlocked[] = R"(
  select keys.partition, keys.subscription, keys.ordering_key, keys.rows, r.sequence, r.due_ms, r.first_attempt_ms,
    r.attempts, r.last_status, r.last_error, r.source_partition, r.source_offset
  from (select partition, subscription, ordering_key, count(*) as rows
      from retries where partition = any($1::int[]) and ordering_key is not null
      group by partition, subscription, ordering_key) keys
    cross join lateral (
      select * from retries r where r.partition = keys.partition
        and r.subscription = keys.subscription and r.ordering_key = keys.ordering_key
      order by r.sequence limit 1) r)";

constexpr char kSave[] = R"(
  update checkpoints c set position = v.position, state = v.state, saved_at = now(),
    clean = v.clean, unclean_starts = case when v.calm then 0 else c.unclean_starts end
  from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bool[], $6::bool[])
    as v(partition, epoch, position, state, clean, calm)
  where c.partition = v.partition and c.epoch = v.epoch
  returning c.partition)";

constexpr char kUpsert[] = R"(
  with written as (insert into retries (partition, topic, source_partition, source_offset, subscription, generation,
    replay, due_ms, attempts, first_attempt_ms, source_timestamp_ms, last_status, last_error, org,
    topic_name, event, sequence, ordering_key, deliver_at_ms)
  select * from unnest($1::int[], $2::uuid[], $3::int[], $4::bigint[], $5::uuid[], $6::int[],
    $7::uuid[], $8::bigint[], $9::int[], $10::bigint[], $11::bigint[], $12::int[], $13::text[],
    $14::text[], $15::text[], $16::bytea[], $17::bigint[],
    $18::bytea[], $19::bigint[])
  on conflict (partition, topic, source_partition, source_offset, subscription, generation, replay)
  do update set due_ms = excluded.due_ms, attempts = excluded.attempts,
    first_attempt_ms = excluded.first_attempt_ms, last_status = excluded.last_status,
    last_error = excluded.last_error, sequence = excluded.sequence,
    ordering_key = excluded.ordering_key
  returning partition, topic, source_partition, source_offset, subscription, generation, replay,
    xmax)
  select partition, topic, source_partition, source_offset, subscription, generation, replay
  from written where xmax <> '0'::xid)";

constexpr char kDelete[] = R"(
  delete from retries r using unnest($1::int[], $2::uuid[], $3::int[], $4::bigint[], $5::uuid[],
    $6::int[], $7::uuid[])
    as v(partition, topic, source_partition, source_offset, subscription, generation, replay)
  where r.partition = v.partition and r.topic = v.topic
    and r.source_partition = v.source_partition and r.source_offset = v.source_offset
    and r.subscription = v.subscription and r.generation = v.generation and r.replay = v.replay)";

// `whole`: how many there are before bytes are counted.
constexpr char kLoadDue[] = R"(
  select topic, source_partition, source_offset, subscription, generation, replay, due_ms, attempts,
    first_attempt_ms, source_timestamp_ms, last_status, last_error, org, topic_name, event,
    sequence, ordering_key, deliver_at_ms, whole
  from (select *, count(*) over () as whole,
      sum(octet_length(event)) over (order by due_ms rows unbounded preceding) as bytes
    from (select * from retries
      where partition = $1::int and due_ms >= $2::bigint and due_ms < $3::bigint
      order by due_ms limit $4::int) due) sized
  where bytes - octet_length(event) < $5::bigint
  order by due_ms)";

// So many bytes of events at once, and one row at least.
constexpr char kLoadStale[] = R"(
  select topic, source_partition, source_offset, subscription, generation, replay, due_ms, attempts,
    first_attempt_ms, source_timestamp_ms, last_status, last_error, org, topic_name, event,
    sequence, ordering_key, deliver_at_ms
  from (select *, sum(octet_length(event)) over (rows unbounded preceding) as bytes
    from retries where partition = $1::int and subscription = $2::uuid and generation < $3::int
      and ordering_key is null limit $4::int) sized
  where bytes - octet_length(event) < 8388608)";

// A key may have rows that did not fit, when it is the last.
constexpr char kLoadKeys[] = R"(
  select topic, source_partition, source_offset, subscription, generation, replay, due_ms, attempts,
    first_attempt_ms, source_timestamp_ms, last_status, last_error, org, topic_name, event,
    sequence, ordering_key, deliver_at_ms, place, whole
  from (select *, count(*) over () as whole, sum(octet_length(event))
      over (order by place, sequence rows unbounded preceding) as bytes
    from (select r.*, k.place
      from unnest($2::uuid[], $3::bytea[], $4::bigint[]) with ordinality
        as k(subscription, ordering_key, sequence, place)
      cross join lateral (
        select * from retries r where r.partition = $1::int and r.subscription = k.subscription
          and r.ordering_key = k.ordering_key and r.sequence >= k.sequence
        order by r.sequence limit $5::int) r) found) sized
  where bytes - octet_length(event) < $6::bigint
  order by place, sequence)";

Result<std::vector<InvokeClaim>> RunClaim(pg::Transaction& tx,
                                          const std::vector<int32_t>& partitions) {
  std::vector<Value> numbers;
  for (int32_t partition : partitions) numbers.emplace_back(std::to_string(partition));
  std::string array = EncodeArray(numbers);
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kClaim, {array}));
  std::map<int32_t, InvokeClaim> claims;
  for (size_t i = 0; i < rows.size(); ++i) {
    InvokeClaim claim;
    claim.partition = static_cast<int32_t>(rows[i].Int(0));
    claim.epoch = rows[i].Int(1);
    claim.unclean_starts = static_cast<int32_t>(rows[i].Int(4));
    if (!rows[i].IsNull(2)) claim.position = rows[i].Int(2);
    if (std::string blob = rows[i].Bytes(3); !blob.empty()) {
      ASSIGN_OR_RETURN(claim.checkpoint, schema::Decode<schema::InvokeCheckpoint>(blob));
    }
    int32_t partition = claim.partition;
    claims.emplace(partition, std::move(claim));
  }
  ASSIGN_OR_RETURN(auto waiting, tx.Exec(kWaiting, {array}));
  for (size_t i = 0; i < waiting.size(); ++i) {
    claims[static_cast<int32_t>(waiting[i].Int(0))].waiting.push_back(
        {ReadUuid(waiting[i], 1), waiting[i].Int(2), waiting[i].Int(3), waiting[i].Text(4) == "t"});
  }
  ASSIGN_OR_RETURN(auto blocked, tx.Exec(kBlocked, {array}));
  for (size_t i = 0; i < blocked.size(); ++i) {
    auto row = blocked[i];
    KeyOrder::Head first{row.Int(5),
                         row.Int(6),
                         static_cast<int32_t>(row.Int(7)),
                         static_cast<int32_t>(row.Int(8)),
                         row.Text(9),
                         static_cast<int32_t>(row.Int(10)),
                         row.Int(11)};
    claims[static_cast<int32_t>(row.Int(0))].blocked.push_back(
        {ReadUuid(row, 1), row.Bytes(2), row.Int(3), row.Int(4), std::move(first)});
  }
  ASSIGN_OR_RETURN(auto trials, tx.Exec(kTrials, {array}));
  for (size_t i = 0; i < trials.size(); ++i) {
    claims[static_cast<int32_t>(trials[i].Int(6))].trials.push_back(
        {ReadId(trials[i], 0), static_cast<int32_t>(trials[i].Int(7))});
  }
  std::vector<InvokeClaim> all;
  for (auto& [partition, claim] : claims) all.push_back(std::move(claim));
  return all;
}

Result<InvokeStore::SaveResult> RunSave(pg::Transaction& tx, const std::vector<InvokeSave>& saves) {
  Columns checkpoints(6);
  for (const auto& save : saves) {
    checkpoints.Int(save.partition)
        .Int(save.epoch)
        .Int(save.position)
        .Bytes(schema::Encode(save.checkpoint))
        .Text(save.clean ? "t" : "f")
        .Text(save.calm ? "t" : "f");
  }
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kSave, checkpoints.Arrays()));
  std::set<int32_t> ours;
  for (size_t i = 0; i < rows.size(); ++i) ours.insert(static_cast<int32_t>(rows[i].Int(0)));

  Columns upserts(19);
  Columns deletes(7);
  Columns tried(7);
  InvokeStore::SaveResult result;
  std::vector<const InvokeSave*> owned;
  std::set<std::pair<int32_t, schema::DeliveryId>> fresh;
  for (const auto& save : saves) {
    if (!ours.contains(save.partition)) {
      result.fenced.push_back(save.partition);
      continue;
    }
    owned.push_back(&save);
    for (const auto& row : save.upserts) {
      if (row.fresh) fresh.emplace(save.partition, row.id);
      upserts.Int(save.partition)
          .Id(row.id)
          .Int(row.due_ms)
          .Int(row.attempts)
          .Int(row.first_attempt_ms)
          .Int(row.source_timestamp_ms)
          .Int(row.last_status)
          .Text(CleanText(row.last_error))
          .Text(row.org)
          .Text(row.topic)
          .Bytes(EncodeEvent(*row.event))
          .Int(row.sequence)
          .OptionalBytes(row.key)
          .Int(row.deliver_at_ms);
    }
    for (const auto& id : save.deletes) deletes.Int(save.partition).Id(id);
    for (const auto& id : save.tried) tried.Int(save.partition).Id(id);
  }
  if (!upserts.empty()) {
    ASSIGN_OR_RETURN(auto updated, tx.Exec(kUpsert, upserts.Arrays()));
    for (size_t i = 0; i < updated.size(); ++i) {
      std::pair row(static_cast<int32_t>(updated[i].Int(0)), ReadId(updated[i], 1));
      if (fresh.contains(row)) result.merged.push_back(row);
    }
  }
  if (!deletes.empty()) RETURN_IF_ERROR(tx.Exec(kDelete, deletes.Arrays()));
  if (!tried.empty()) RETURN_IF_ERROR(tx.Exec(kStrikeOut, tried.Arrays()));
  ASSIGN_OR_RETURN(result.gone, TakeChosen(tx, owned));
  return result;
}

Result<std::vector<RetryRow>> ReadRows(const pg::Rows& rows) {
  std::vector<RetryRow> all;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = rows[i];
    ASSIGN_OR_RETURN(auto event, DecodeEvent(row.Bytes(14)));
    RetryRow out;
    out.id = ReadId(row, 0);
    out.due_ms = row.Int(6);
    out.attempts = static_cast<int32_t>(row.Int(7));
    out.first_attempt_ms = row.Int(8);
    out.source_timestamp_ms = row.Int(9);
    out.last_status = static_cast<int32_t>(row.Int(10));
    out.last_error = row.Text(11);
    out.org = row.Text(12);
    out.topic = row.Text(13);
    out.event = std::make_shared<const schema::EventData>(std::move(event));
    out.sequence = row.Int(15);
    if (!row.IsNull(16)) out.key = row.Bytes(16);
    out.deliver_at_ms = row.Int(17);
    all.push_back(std::move(out));
  }
  return all;
}

Result<InvokeStore::Due> RunLoadDue(pg::Transaction& tx, int32_t partition, int64_t from_ms,
                                    int64_t until_ms, InvokeStore::Room room) {
  ASSIGN_OR_RETURN(auto rows,
                   tx.Exec(kLoadDue, {std::to_string(partition), std::to_string(from_ms),
                                      std::to_string(until_ms), std::to_string(room.rows),
                                      std::to_string(room.bytes)}));
  InvokeStore::Due due;
  if (!rows.empty()) {
    auto whole = static_cast<size_t>(rows[0].Int(18));
    due.all = rows.size() == whole && whole < room.rows;
  }
  ASSIGN_OR_RETURN(due.rows, ReadRows(rows));
  return due;
}

Result<InvokeStore::OfKeys> RunLoadKeys(pg::Transaction& tx, int32_t partition,
                                        const std::vector<InvokeStore::KeyFrom>& keys, size_t each,
                                        size_t bytes) {
  Columns columns(3);
  for (const auto& key : keys) {
    columns.Text(key.subscription.ToString()).Bytes(key.key).Int(key.sequence);
  }
  std::vector<Value> values = columns.Arrays();
  values.insert(values.begin(), Value(std::to_string(partition)));
  values.emplace_back(std::to_string(each));
  values.emplace_back(std::to_string(bytes));
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kLoadKeys, values));
  InvokeStore::OfKeys of_keys;
  of_keys.keys = keys.size();
  if (!rows.empty() && rows.size() < static_cast<size_t>(rows[0].Int(19))) {
    of_keys.keys = static_cast<size_t>(rows[rows.size() - 1].Int(18));
  }
  ASSIGN_OR_RETURN(of_keys.rows, ReadRows(rows));
  return of_keys;
}

}  // namespace

void PgInvokeStore::Claim(std::vector<int32_t> partitions,
                          std::function<void(Result<std::vector<InvokeClaim>>)> done) {
  pool_.Query<std::vector<InvokeClaim>>(
      [partitions = std::move(partitions)](pg::Transaction& tx) {
        return RunClaim(tx, partitions);
      },
      std::move(done));
}

void PgInvokeStore::Lived(std::vector<Epoch> lost, std::function<void(Status)> done) {
  Columns columns(2);
  for (const auto& [partition, epoch] : lost) columns.Int(partition).Int(epoch);
  pool_.Run([columns](pg::Transaction& tx) { return tx.Exec(kLived, columns.Arrays()).status(); },
            std::move(done));
}

void PgInvokeStore::Save(std::vector<InvokeSave> saves,
                         std::function<void(Result<SaveResult>)> done) {
  struct Work {
    std::vector<InvokeSave> saves;
    SaveResult result;
  };
  auto work = std::make_shared<Work>();
  work->saves = std::move(saves);
  pool_.Run(
      [work](pg::Transaction& tx) -> Status {
        work->result = {};
        ASSIGN_OR_RETURN(work->result, RunSave(tx, work->saves));
        if (work->result.gone.empty()) return {};
        return {Code::kConflict, "dead letters are not chosen any more"};  // rolls back
      },
      [work, done = std::move(done)](const Status& status) {
        if (!status.ok() && work->result.gone.empty()) return done(status);
        done(std::move(work->result));
      });
}

void PgInvokeStore::LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
                            std::function<void(Result<Due>)> done) {
  pool_.Query<Due>(
      [=](pg::Transaction& tx) { return RunLoadDue(tx, partition, from_ms, until_ms, room); },
      std::move(done));
}

void PgInvokeStore::LoadStale(int32_t partition, const Uuid& subscription, int32_t generation,
                              size_t limit,
                              std::function<void(Result<std::vector<RetryRow>>)> done) {
  pool_.Query<std::vector<RetryRow>>(
      [=](pg::Transaction& tx) -> Result<std::vector<RetryRow>> {
        ASSIGN_OR_RETURN(auto rows,
                         tx.Exec(kLoadStale, {std::to_string(partition), subscription.ToString(),
                                              std::to_string(generation), std::to_string(limit)}));
        return ReadRows(rows);
      },
      std::move(done));
}

void PgInvokeStore::LoadChosen(std::vector<int32_t> partitions, int64_t now_ms,
                               std::function<void(Result<Chosen>)> done) {
  pool_.Query<Chosen>(
      [partitions = std::move(partitions), now_ms](pg::Transaction& tx) -> Result<Chosen> {
        Chosen chosen;
        ASSIGN_OR_RETURN(chosen.more, AdvanceRedrives(tx, now_ms));
        if (!chosen.more) return chosen;
        ASSIGN_OR_RETURN(chosen.letters, ReadChosen(tx, partitions));
        return chosen;
      },
      std::move(done));
}

void PgInvokeStore::NoteTrial(std::optional<TrialNote> begin,
                              std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                              std::function<void(Status)> done) {
  Columns struck(7);
  for (const auto& [partition, id] : survived) struck.Int(partition).Id(id);
  pool_.Run(
      [begin = std::move(begin), struck = std::move(struck)](pg::Transaction& tx) -> Status {
        if (!struck.empty()) RETURN_IF_ERROR(tx.Exec(kStrikeOut, struck.Arrays()));
        if (!begin) return {};
        const auto& id = begin->trial.id;
        ASSIGN_OR_RETURN(auto noted,
                         tx.Exec(kNote, {std::to_string(begin->partition), id.topic.ToString(),
                                         std::to_string(id.partition), std::to_string(id.offset),
                                         id.subscription.ToString(), std::to_string(id.generation),
                                         id.replay.ToString(), std::to_string(begin->trial.crashes),
                                         std::to_string(begin->epoch)}));
        if (noted.affected() > 0) return {};
        return {Code::kConflict, "a newer epoch owns the partition"};
      },
      std::move(done));
}

void PgInvokeStore::LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each,
                             size_t bytes, std::function<void(Result<OfKeys>)> done) {
  pool_.Query<OfKeys>(
      [partition, keys = std::move(keys), each, bytes](pg::Transaction& tx) {
        return RunLoadKeys(tx, partition, keys, each, bytes);
      },
      std::move(done));
}

}  // namespace dispatch
