#include "function-manager/src/adapters/pg_attempt_log.h"

#include <algorithm>

#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/adapters/columns.h"

namespace dispatch {

namespace {

constexpr char kInsert[] = R"(
  insert into attempts (topic, source_partition, source_offset, subscription, generation, replay,
    number, at_ms, latency_us, status, outcome, message, answer_head, next_attempt_ms, org,
    subscription_name)
  select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[], $6::uuid[],
    $7::int[], $8::bigint[], $9::bigint[], $10::int[], $11::text[], $12::text[], $13::text[],
    $14::bigint[], $15::text[], $16::text[]))";

constexpr char kSweep[] = R"(
  delete from attempts where ctid = any(array(
    select ctid from attempts where at_ms < $1::bigint limit 20000)))";

const metrics::Counter& Dropped() {
  static const auto counter = metrics::GetCounter("dispatch_attempts_unrecorded_total",
                                                  "Attempts that the attempt log had no room for");
  return counter;
}

}  // namespace

PgAttemptLog::PgAttemptLog(Loop& loop, pg::Pool& pool, Options options)
    : loop_(loop), pool_(pool), options_(options) {}

void PgAttemptLog::Start() {
  started_ = true;
  Tick();
  Sweep();
}

PgAttemptLog::~PgAttemptLog() {
  loop_.Cancel(tick_);
  loop_.Cancel(sweep_);
}

void PgAttemptLog::Record(Attempt attempt) {
  // The last tenth of the room is for failures: a success is the less interesting news.
  bool success = attempt.outcome == "delivered";
  size_t room = success ? options_.max_queue / 10 * 9 : options_.max_queue;
  if (queue_.size() >= room) return Dropped().Add();
  queue_.push_back(std::move(attempt));
  if (queue_.size() >= options_.batch && started_ && !writing_) Write();
}

void PgAttemptLog::Tick() {
  tick_ = loop_.After(options_.flush_interval, [this] { Tick(); });
  if (!queue_.empty() && !writing_) Write();
}

void PgAttemptLog::Write() {
  size_t count = std::min(queue_.size(), options_.batch);
  auto batch = std::make_shared<std::vector<Attempt>>();
  batch->reserve(count);
  for (size_t i = 0; i < count; ++i) {
    batch->push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  writing_ = true;
  pool_.Run(
      [batch](pg::Transaction& tx) -> Status {
        Columns columns(16);
        for (const auto& a : *batch) {
          columns.Id(a.id)
              .Int(a.number)
              .Int(a.at_ms)
              .Int(a.latency_us)
              .Int(a.status)
              .Text(a.outcome)
              .Text(CleanText(a.message))
              .Text(CleanText(a.answer_head))
              .Int(a.next_attempt_ms)
              .Text(a.org)
              .Text(a.subscription);
        }
        RETURN_IF_ERROR(tx.Exec(kInsert, columns.Arrays()));
        return {};
      },
      [this, alive = std::weak_ptr(alive_), batch](Status status) {
        if (alive.expired()) return;
        writing_ = false;
        if (!status.ok()) {
          Dropped().Add(static_cast<double>(batch->size()));
          if (log::Sometimes("attempts.write")) {
            log::Warning("attempts not recorded count={} error=\"{}\"", batch->size(),
                         status.message());
          }
        } else if (queue_.size() >= options_.batch) {
          return Write();
        }
        if (flushed_ && (queue_.empty() || !status.ok())) std::exchange(flushed_, nullptr)();
      });
}

void PgAttemptLog::Flush(std::function<void()> done) {
  if (queue_.empty() && !writing_) return done();
  flushed_ = std::move(done);
  if (!writing_) Write();
}

void PgAttemptLog::Sweep() {
  sweep_ = loop_.After(options_.sweep_interval, [this] { Sweep(); });
  std::string before = std::to_string(ToMillis(loop_.Now()) - options_.retention.count());
  pool_.Run(
      [before](pg::Transaction& tx) -> Status {
        RETURN_IF_ERROR(tx.Exec(kSweep, {before}));
        return {};
      },
      [](Status status) {
        if (!status.ok() && log::Sometimes("attempts.sweep")) {
          log::Warning("old attempts not deleted error=\"{}\"", status.message());
        }
      });
}

}  // namespace dispatch
