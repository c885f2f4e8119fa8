#include "function-manager/src/adapters/pg_attempt_log.h"

#include <algorithm>

#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/adapters/attempt_rows.h"

namespace dispatch {

namespace {

// At 0 from the start, so that the first one is an increase.
const metrics::Counter kDropped = metrics::GetCounter(
    "dispatch_attempts_unrecorded_total", "Attempts that the attempt log had no room for");

std::vector<Attempt> TakeSome(std::deque<Attempt>& queue, size_t most) {
  size_t count = std::min(queue.size(), most);
  std::vector<Attempt> taken;
  taken.reserve(count);
  std::move(queue.begin(), queue.begin() + static_cast<ptrdiff_t>(count),
            std::back_inserter(taken));
  queue.erase(queue.begin(), queue.begin() + static_cast<ptrdiff_t>(count));
  return taken;
}

}  // namespace

struct PgAttemptLog::Batch {
  OpenSlices slices;
  std::vector<Attempt> failures;
  std::vector<Attempt> successes;
  size_t attempts = 0;
  size_t rows = 0;
};

PgAttemptLog::PgAttemptLog(Loop& loop, pg::Pool& pool, Options options)
    : loop_(loop), pool_(pool), options_(options) {}

PgAttemptLog::~PgAttemptLog() {
  loop_.Cancel(tick_);
  loop_.Cancel(tend_);
}

void PgAttemptLog::Start() { Tend(); }

void PgAttemptLog::Record(Attempt attempt) {
  bool success = attempt.outcome == kDelivered;
  // The last tenth of the room is for failures: a success is the less interesting news.
  size_t room = success ? options_.max_queue / 10 * 9 : options_.max_queue;
  if (queued() >= room) return kDropped.Add();
  (success ? successes_ : failures_).push_back(std::move(attempt));
  if (tick_ == kNoTimer) tick_ = loop_.After(options_.flush_interval, [this] { Tick(); });
  if (much() && !writing_ && slices_.kept != 0) Write();
}

void PgAttemptLog::Tick() {
  tick_ = kNoTimer;
  if (queued() == 0) return;
  tick_ = loop_.After(options_.flush_interval, [this] { Tick(); });
  if (!writing_ && slices_.kept != 0 && loop_.Steady() >= not_before_) Write();
}

void PgAttemptLog::Write() {
  auto batch = std::make_shared<Batch>();
  batch->slices = slices_;
  batch->failures = TakeSome(failures_, options_.failures);
  batch->successes = TakeSome(successes_, options_.successes);
  batch->attempts = batch->failures.size() + batch->successes.size();
  writing_ = true;
  pool_.Run(
      [batch](pg::Transaction& tx) -> Status {
        auto blocks = PackAttempts(batch->successes);
        batch->rows = batch->failures.size() + blocks.size();
        return WriteAttempts(tx, batch->slices, batch->failures, blocks);
      },
      [this, alive = std::weak_ptr(alive_), batch](const Status& status) {
        if (!alive.expired()) Written(*batch, status);
      });
}

void PgAttemptLog::Written(const Batch& batch, const Status& status) {
  writing_ = false;
  if (!status.ok()) {
    kDropped.Add(static_cast<double>(batch.attempts));
    if (log::Sometimes("attempts.write")) {
      log::Warning("attempts not recorded count={} error=\"{}\"", batch.attempts, status.message());
    }
    Tend();  // the slice may be gone, as after a long stop
  }
  auto pause = std::chrono::milliseconds(batch.rows);
  not_before_ = loop_.Steady() + std::clamp<Duration>(pause, options_.flush_interval,
                                                      options_.longest_flush_interval);
  bool more = flushed_ ? queued() > 0 : much();
  if (status.ok() && more) return Write();
  if (flushed_) std::exchange(flushed_, nullptr)();
}

void PgAttemptLog::Flush(std::function<void()> done) {
  if ((queued() == 0 && !writing_) || slices_.kept == 0) return done();
  flushed_ = std::move(done);
  if (!writing_) Write();
}

void PgAttemptLog::Tend() {
  if (std::exchange(tending_, true)) return;
  loop_.Cancel(tend_);
  pool_.Query<OpenSlices>(
      [limits = options_.slices, now_ms = ToMillis(loop_.Now())](pg::Transaction& tx) {
        return TendSlices(tx, limits, now_ms);
      },
      [this, alive = std::weak_ptr(alive_)](Result<OpenSlices> open) {
        if (alive.expired()) return;
        tending_ = false;
        if (open.ok()) slices_ = *open;
        if (!open.ok() && log::Sometimes("attempts.slices")) {
          log::Warning("slices of attempts not tended error=\"{}\"", open.message());
        }
        bool waiting = slices_.kept == 0;
        tend_ = loop_.After(waiting ? std::chrono::seconds(1) : options_.tend_interval,
                            [this] { Tend(); });
      });
}

}  // namespace dispatch
