#include "function-manager/src/adapters/redrive_jobs.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/dead_letter_rows.h"
#include "function-manager/src/domain/key_order.h"

namespace dispatch {

namespace {

constexpr int64_t kMostChosen = 1'000;  // of a redrive, and not taken yet
constexpr int64_t kBurstUs = 200'000;   // of a rate, after a pause
constexpr char kPerLoad[] = "200";      // letters of a redrive and partition
constexpr char kMostBytes[] = "8388608";

// The one that has it works on it; the others look again soon.
constexpr char kRunning[] = R"(
  select id, subscription, filter, rate_events, rate_ms, paced_us, created_ms from redrives
  where state = 'RUNNING' order by id for update skip locked)";
constexpr char kAnyRunning[] = "select 1 from redrives where state = 'RUNNING' limit 1";
constexpr char kChosenNow[] = "select count(*) from dead_letters where redrive = $1::uuid";

const std::string kChoose = std::string("update dead_letters set redrive = $9::uuid where (") +
                            kLetterKey + ") in (select" + kLetterKey + "from dead_letters where" +
                            kLetterFilter + kOwnLetter + R"(
      and redrive is null and shard is not null and sequence is not null
      and dead_lettered_ms < $10::bigint
    order by dead_lettered_ms, log_partition, log_offset limit $11::int for update skip locked))";

constexpr char kPaced[] = "update redrives set paced_us = $2::bigint where id = $1::uuid";
constexpr char kDone[] = R"(
  update redrives set state = 'DONE', finished_ms = $2::bigint where id = $1::uuid)";

constexpr char kChosen[] = R"(
  select shard, topic, source_partition, source_offset, subscription, generation, replay, redrive,
    org, topic_name, source_timestamp_ms, sequence, event
  from (select *, sum(octet_length(event)) over (order by place, shard, sequence) as bytes
    from (select *, row_number() over (partition by redrive, shard order by sequence) as place
      from dead_letters d where redrive is not null and shard = any($1::int[])
        and not exists (select from retries r where r.partition = d.shard and r.topic = d.topic
          and r.source_partition = d.source_partition and r.source_offset = d.source_offset
          and r.subscription = d.subscription and r.generation = d.generation
          and r.replay = d.replay)) placed
    where place <= $2::int) sized
  where bytes - octet_length(event) < $3::bigint
  order by place, shard, sequence)";

constexpr char kLock[] = "select 1 from redrives where id = any($1::uuid[]) order by id for update";

constexpr char kTake[] = R"(
  with gone as (delete from dead_letters d
    using unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[], $6::uuid[], $7::uuid[])
      as v(topic, source_partition, source_offset, subscription, generation, replay, redrive)
    where d.topic = v.topic and d.source_partition = v.source_partition
      and d.source_offset = v.source_offset and d.subscription = v.subscription
      and d.generation = v.generation and d.replay = v.replay and d.redrive = v.redrive
    returning d.topic, d.source_partition, d.source_offset, d.subscription, d.generation, d.replay,
      d.redrive),
  kept as (insert into dead_letter_removals (topic, source_partition, source_offset, subscription,
      generation, replay, redrive, removed_ms)
    select gone.*, extract(epoch from clock_timestamp())::bigint * 1000 from gone on conflict do nothing),
  counted as (update redrives set moved = moved + n
    from (select redrive, count(*) as n from gone group by redrive) by_redrive
    where id = by_redrive.redrive)
  select topic, source_partition, source_offset, subscription, generation, replay from gone)";

// Taken by us in a transaction whose end we did not learn.
constexpr char kTakenBefore[] = R"(
  select r.topic, r.source_partition, r.source_offset, r.subscription, r.generation, r.replay
  from dead_letter_removals r
  join unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[], $6::uuid[], $7::uuid[])
    as v(topic, source_partition, source_offset, subscription, generation, replay, redrive)
  on r.topic = v.topic and r.source_partition = v.source_partition
    and r.source_offset = v.source_offset and r.subscription = v.subscription
    and r.generation = v.generation and r.replay = v.replay and r.redrive = v.redrive)";

constexpr char kClearDue[] = R"(
  update retries r set due_ms = $5::bigint
  from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bigint[])
    as v(partition, subscription, ordering_key, sequence)
  where r.partition = v.partition and r.subscription = v.subscription
    and r.ordering_key = v.ordering_key and r.sequence > v.sequence and r.due_ms <> $5::bigint)";

// How many letters the rate allows now, and up to when that uses it.
struct Allowed {
  int64_t count = kMostChosen;
  int64_t from_us = 0;
};

Allowed AllowedBy(int64_t events, int64_t rate_ms, int64_t paced_us, int64_t now_us) {
  if (events == 0) return {};
  // A slow rate has room for one.
  int64_t burst = std::max(kBurstUs, rate_ms * 1000 / events);
  Allowed allowed;
  allowed.from_us = std::max(paced_us, now_us - burst);
  int64_t room_us = std::max<int64_t>(0, now_us - allowed.from_us);
  allowed.count = static_cast<int64_t>(static_cast<double>(room_us) * static_cast<double>(events) /
                                       (static_cast<double>(rate_ms) * 1000));
  return allowed;
}

Status AdvanceOne(pg::Transaction& tx, const pg::Row& job, int64_t now_ms) {
  const std::string& id = job.Text(0);
  ASSIGN_OR_RETURN(auto chosen, tx.Exec(kChosenNow, {id}));
  int64_t waiting = chosen[0].Int(0);
  int64_t now_us = now_ms * 1000;
  auto allowed = AllowedBy(job.Int(3), job.Int(4), job.Int(5), now_us);
  int64_t count = std::min(allowed.count, kMostChosen - waiting);
  if (count <= 0) return {};
  ASSIGN_OR_RETURN(auto fields, json::ParseObject(job.Text(2)));
  std::vector<FieldError> faults;
  auto params = LetterFilterParams(ReadUuid(job, 1), ReadDeadLetterFilter(fields, "", &faults));
  params.emplace_back(id);
  params.emplace_back(job.Text(6));
  params.emplace_back(std::to_string(count));
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kChoose, params));
  auto more = static_cast<int64_t>(rows.affected());
  if (more == 0 && waiting == 0) return tx.Exec(kDone, {id, std::to_string(now_ms)}).status();
  if (more == 0 || job.Int(3) == 0) return {};
  auto used = static_cast<int64_t>(static_cast<double>(more) * static_cast<double>(job.Int(4)) *
                                   1000 / static_cast<double>(job.Int(3)));
  return tx.Exec(kPaced, {id, std::to_string(allowed.from_us + used)}).status();
}

}  // namespace

Result<bool> AdvanceRedrives(pg::Transaction& tx, int64_t now_ms) {
  ASSIGN_OR_RETURN(auto any, tx.Exec(kAnyRunning));
  if (any.empty()) return false;
  ASSIGN_OR_RETURN(auto running, tx.Exec(kRunning));
  for (size_t i = 0; i < running.size(); ++i) {
    RETURN_IF_ERROR(AdvanceOne(tx, running[i], now_ms));
  }
  return true;
}

Result<std::vector<ChosenLetter>> ReadChosen(pg::Transaction& tx,
                                             const std::vector<int32_t>& partitions) {
  std::vector<pg::Value> numbers;
  for (int32_t partition : partitions) numbers.emplace_back(std::to_string(partition));
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kChosen, {pg::EncodeArray(numbers), kPerLoad, kMostBytes}));
  std::vector<ChosenLetter> letters;
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = rows[i];
    ASSIGN_OR_RETURN(auto event, DecodeEvent(row.Bytes(12)));
    ChosenLetter letter;
    letter.partition = static_cast<int32_t>(row.Int(0));
    letter.id = ReadId(row, 1);
    letter.redrive = ReadUuid(row, 7);
    letter.org = row.Text(8);
    letter.topic = row.Text(9);
    letter.source_timestamp_ms = row.Int(10);
    letter.sequence = row.Int(11);
    letter.event = std::make_shared<const schema::EventData>(std::move(event));
    letters.push_back(std::move(letter));
  }
  return letters;
}

Result<std::vector<std::pair<int32_t, schema::DeliveryId>>> TakeChosen(
    pg::Transaction& tx, const std::vector<const InvokeSave*>& saves) {
  Columns letters(7);
  std::set<Uuid> redrives;
  // Of each key the first is enough: what is behind it loses its time.
  std::map<std::tuple<int32_t, Uuid, std::string>, int64_t> keys;
  for (const InvokeSave* save : saves) {
    for (const auto& returned : save->returns) {
      letters.Id(returned.letter).Text(returned.redrive.ToString());
      redrives.insert(returned.redrive);
      if (!returned.key) continue;
      auto [it, fresh] = keys.try_emplace(
          {save->partition, returned.row.subscription, *returned.key}, returned.sequence);
      it->second = std::min(it->second, returned.sequence);
    }
  }
  std::vector<std::pair<int32_t, schema::DeliveryId>> gone;
  if (letters.empty()) return gone;
  std::vector<pg::Value> ids;
  for (const Uuid& redrive : redrives) ids.emplace_back(redrive.ToString());
  RETURN_IF_ERROR(tx.Exec(kLock, {pg::EncodeArray(ids)}));
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kTake, letters.Arrays()));
  std::set<schema::DeliveryId> taken;
  for (size_t i = 0; i < rows.size(); ++i) taken.insert(ReadId(rows[i], 0));
  if (taken.size() < letters.size()) {
    ASSIGN_OR_RETURN(auto before, tx.Exec(kTakenBefore, letters.Arrays()));
    for (size_t i = 0; i < before.size(); ++i) taken.insert(ReadId(before[i], 0));
    for (const InvokeSave* save : saves) {
      for (const auto& returned : save->returns) {
        if (!taken.contains(returned.letter)) gone.emplace_back(save->partition, returned.row);
      }
    }
  }
  if (!gone.empty() || keys.empty()) return gone;
  Columns behind(4);
  for (const auto& [key, sequence] : keys) {
    behind.Int(std::get<0>(key))
        .Text(std::get<1>(key).ToString())
        .Bytes(std::get<2>(key))
        .Int(sequence);
  }
  auto cleared = behind.Arrays();
  cleared.emplace_back(std::to_string(kNeverDue));
  RETURN_IF_ERROR(tx.Exec(kClearDue, cleared));
  return gone;
}

}  // namespace dispatch
