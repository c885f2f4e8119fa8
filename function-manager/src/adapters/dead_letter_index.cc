#include "function-manager/src/adapters/dead_letter_index.h"

#include <algorithm>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/adapters/columns.h"
#include "schema/cloudevents.h"
#include "schema/messages.h"

namespace dispatch {

namespace {

constexpr size_t kMaxWaiting = 2'000;
constexpr size_t kBatch = 200;
constexpr Duration kRetry = std::chrono::milliseconds(500);
constexpr Duration kExpireEvery = std::chrono::minutes(10);
// Segments of the topic go whole, so that what is in it may be older than its retention.
constexpr std::chrono::milliseconds kForgetLater = std::chrono::hours(48);

constexpr char kInsert[] = R"(
  insert into dead_letters (topic, source_partition, source_offset, subscription, generation,
    replay, org, topic_name, subscription_name, reason, message, attempts, last_status,
    first_attempt_ms, last_attempt_ms, dead_lettered_ms, event, log_partition, log_offset,
    event_type, source_timestamp_ms, shard, sequence, owner)
  select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[], $6::uuid[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::int[], $13::int[],
    $14::bigint[], $15::bigint[], $16::bigint[], $17::bytea[], $18::int[], $19::bigint[],
    $20::text[], $21::bigint[], $22::int[], $23::bigint[], $24::uuid[])
  on conflict do nothing)";

// A repeat of a letter that was removed. After the insertion, as a statement of its own: the
// insertion waits for a removal that is under way, and only a later snapshot sees that.
constexpr char kDropRemoved[] = R"(
  delete from dead_letters d using dead_letter_removals r,
    unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[], $6::uuid[])
      as v(topic, source_partition, source_offset, subscription, generation, replay)
  where d.topic = v.topic and d.source_partition = v.source_partition
    and d.source_offset = v.source_offset and d.subscription = v.subscription
    and d.generation = v.generation and d.replay = v.replay
    and r.topic = v.topic and r.source_partition = v.source_partition
    and r.source_offset = v.source_offset and r.subscription = v.subscription
    and r.generation = v.generation and r.replay = v.replay)";

constexpr char kExpire[] = R"(
  delete from dead_letters where dead_lettered_ms < $1::bigint and redrive is null)";
// A letter is written before it is removed.
constexpr char kForget[] = "delete from dead_letter_removals where removed_ms < $1::bigint";

constexpr char kPosition[] = R"(
  insert into dead_letter_positions (log_partition, next_offset) values ($1::int, $2::bigint)
  on conflict (log_partition) do update set next_offset =
    greatest(dead_letter_positions.next_offset, excluded.next_offset))";

constexpr char kReadPositions[] = "select log_partition, next_offset from dead_letter_positions";

std::string TypeOf(const schema::EventData& data) {
  auto event = cloudevents::FromKafka(data);
  const std::string* type = event.ok() ? event->Find("type") : nullptr;
  return type == nullptr ? "" : *type;
}

Status WriteBatch(pg::Transaction& tx, const std::vector<broker::Record>& records) {
  Columns columns(24);
  Columns ids(6);
  for (const auto& record : records) {
    auto letter = record.value ? schema::Decode<schema::DeadLetter>(*record.value)
                               : Result<schema::DeadLetter>(Code::kInvalidArgument, "no value");
    if (!letter.ok()) {
      log::Error("record is no dead letter partition={} offset={} error=\"{}\"", record.partition,
                 record.offset, letter.error().message);
      continue;
    }
    ids.Id(letter->id);
    columns.Id(letter->id)
        .Text(letter->org)
        .Text(letter->topic)
        .Text(letter->subscription)
        .Text(letter->reason)
        .Text(CleanText(letter->message))
        .Int(letter->attempts)
        .Int(letter->last_status)
        .Int(letter->first_attempt_ms)
        .Int(letter->last_attempt_ms)
        .Int(letter->dead_lettered_ms)
        .Bytes(EncodeEvent(letter->event))
        .Int(record.partition)
        .Int(record.offset)
        .Text(CleanText(TypeOf(letter->event)))
        .Int(letter->source_timestamp_ms)
        .OptionalInt(letter->invocations_partition)
        .OptionalInt(letter->sequence)
        .Text(
            (letter->replay_of.is_nil() ? letter->id.subscription : letter->replay_of).ToString());
  }
  if (!columns.empty()) {
    RETURN_IF_ERROR(tx.Exec(kInsert, columns.Arrays()));
    RETURN_IF_ERROR(tx.Exec(kDropRemoved, ids.Arrays()));
  }
  RETURN_IF_ERROR(tx.Exec(kPosition, {std::to_string(records.back().partition),
                                      std::to_string(records.back().offset + 1)}));
  return {};
}

}  // namespace

DeadLetterIndex::DeadLetterIndex(broker::Broker& broker, Loop& loop, pg::Pool& pool)
    : broker_(broker), loop_(loop), pool_(pool) {}

DeadLetterIndex::~DeadLetterIndex() { loop_.Cancel(expiry_); }

void DeadLetterIndex::Start() {
  broker::GroupOptions options;
  options.group = "dispatch.dead-letter-index";
  options.client_id = "dispatch-dead-letter-index";
  options.fetch_wait = std::chrono::milliseconds(500);  // nobody waits for what it resumes
  consumer_ = broker_.NewGroupConsumer(options, *this);
  consumer_->Subscribe({broker::kDeadLettersTopic});
  Expire();
}

// What the topic has lost to its retention goes here too.
void DeadLetterIndex::Expire() {
  static const auto counter =
      metrics::GetCounter("dispatch_dead_letters_expired_total",
                          "Dead letters that went with the retention of their topic");
  expiry_ = loop_.After(kExpireEvery, [this] { Expire(); });
  int64_t before_ms = ToMillis(loop_.Now()) - broker::kDeadLettersRetention.count();
  pool_.Query<int64_t>(
      [before_ms](pg::Transaction& tx) -> Result<int64_t> {
        ASSIGN_OR_RETURN(auto expired, tx.Exec(kExpire, {std::to_string(before_ms)}));
        RETURN_IF_ERROR(tx.Exec(kForget, {std::to_string(before_ms - kForgetLater.count())}));
        return static_cast<int64_t>(expired.affected());
      },
      [](Result<int64_t> expired) {
        if (expired.ok()) return counter.Add(static_cast<double>(*expired));
        log::Warning("old dead letters not removed error=\"{}\"", expired.message());
      });
}

void DeadLetterIndex::Stop(std::function<void()> stopped) {
  if (consumer_ == nullptr) return stopped();
  consumer_->Close(std::move(stopped));
}

void DeadLetterIndex::OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                                 uint64_t generation) {
  generation_ = generation;
  ReadPositions(partitions, generation);
}

void DeadLetterIndex::ReadPositions(std::vector<broker::TopicPartition> partitions,
                                    uint64_t generation) {
  using Positions = std::map<int32_t, int64_t>;
  pool_.Query<Positions>(
      [](pg::Transaction& tx) -> Result<Positions> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadPositions));
        Positions positions;
        for (size_t i = 0; i < rows.size(); ++i) {
          positions[static_cast<int32_t>(rows[i].Int(0))] = rows[i].Int(1);
        }
        return positions;
      },
      [this, alive = std::weak_ptr(alive_), partitions, generation](Result<Positions> positions) {
        if (alive.expired() || generation != generation_) return;
        if (!positions.ok()) {
          loop_.After(kRetry, [this, alive, partitions, generation] {
            if (!alive.expired() && generation == generation_) {
              ReadPositions(partitions, generation);
            }
          });
          return;
        }
        for (const auto& partition : partitions) {
          owned_[partition.partition] = Owned{};
          auto it = positions->find(partition.partition);
          consumer_->Start(partition, it == positions->end() ? broker::kEarliest : it->second,
                           generation);
        }
      });
}

void DeadLetterIndex::OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                                std::function<void()> release) {
  // What waits is not lost: the next owner starts at the position that the rows reached.
  for (const auto& partition : partitions) owned_.erase(partition.partition);
  release();
}

void DeadLetterIndex::OnLost(const std::vector<broker::TopicPartition>& partitions) {
  for (const auto& partition : partitions) owned_.erase(partition.partition);
}

void DeadLetterIndex::OnRecords(std::vector<broker::Record> records) {
  for (auto& record : records) {
    auto it = owned_.find(record.partition);
    if (it != owned_.end()) it->second.waiting.push_back(std::move(record));
  }
  for (auto& [partition, owned] : owned_) {
    if (owned.waiting.size() > kMaxWaiting && !owned.paused) {
      owned.paused = true;
      consumer_->Pause({broker::kDeadLettersTopic, partition});
    }
    if (!owned.writing && !owned.waiting.empty()) Write(partition);
  }
}

void DeadLetterIndex::Write(int32_t partition) {
  Owned& owned = owned_[partition];
  owned.writing = true;
  size_t count = std::min(kBatch, owned.waiting.size());
  auto batch = std::make_shared<std::vector<broker::Record>>(
      owned.waiting.begin(), owned.waiting.begin() + static_cast<ptrdiff_t>(count));
  pool_.Run([batch](pg::Transaction& tx) { return WriteBatch(tx, *batch); },
            [this, alive = std::weak_ptr(alive_), partition, count,
             generation = generation_](Status status) {
              if (alive.expired()) return;
              auto it = owned_.find(partition);
              if (it == owned_.end() || generation != generation_) return;
              auto& owned = it->second;
              owned.writing = false;
              if (!status.ok()) {
                if (log::Sometimes("dead-letters.index")) {
                  log::Warning("dead letters not indexed error=\"{}\"", status.message());
                }
                owned.writing = true;
                loop_.After(kRetry, [this, alive, partition, generation] {
                  if (alive.expired() || generation != generation_) return;
                  if (owned_.contains(partition)) Write(partition);
                });
                return;
              }
              owned.waiting.erase(owned.waiting.begin(),
                                  owned.waiting.begin() + static_cast<ptrdiff_t>(count));
              if (owned.paused && owned.waiting.size() < kMaxWaiting / 2) {
                owned.paused = false;
                consumer_->Resume({broker::kDeadLettersTopic, partition});
              }
              if (!owned.waiting.empty()) Write(partition);
            });
}

void DeadLetterIndex::OnPartitionError(const broker::TopicPartition& partition,
                                       const Error& error) {
  log::Error("cannot read topic={} partition={} error=\"{}\"", partition.topic, partition.partition,
             error.message);
  if (error.code == Code::kOutOfRange) consumer_->Seek(partition, broker::kEarliest);
}

}  // namespace dispatch
