#pragma once

#include <deque>
#include <memory>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/attempt_slices.h"
#include "function-manager/src/domain/attempt_log.h"

namespace dispatch {

/// The attempt log over PostgreSQL: failures as rows of `attempts`, successes many in a row of
/// `attempt_blocks`, both in slices of time. One transaction under way, a bounded queue before it;
/// the more rows the last one had, the longer the next one gathers. One owner.
class PgAttemptLog : public AttemptLog {
 public:
  struct Options {
    size_t max_queue = 100'000;
    size_t failures = 1'000;    // of one transaction
    size_t successes = 20'000;  // likewise
    Duration flush_interval = std::chrono::milliseconds(200);
    Duration longest_flush_interval = std::chrono::seconds(1);
    Duration tend_interval = std::chrono::seconds(10);
    SliceLimits slices;
  };

  PgAttemptLog(Loop& loop, pg::Pool& pool, Options options);
  ~PgAttemptLog() override;

  /// Begins to write and to delete; what was recorded before waits. Call when the tables are there.
  void Start();
  void Record(Attempt attempt) override;
  /// Writes what is queued, then runs `done`; for the end of the service.
  void Flush(std::function<void()> done);

 private:
  struct Batch;

  size_t queued() const { return failures_.size() + successes_.size(); }
  bool much() const {
    return failures_.size() >= options_.failures || successes_.size() >= options_.successes;
  }
  void Tick();
  void Write();
  void Written(const Batch& batch, const Status& status);
  void Tend();

  Loop& loop_;
  pg::Pool& pool_;
  Options options_;
  std::deque<Attempt> failures_;
  std::deque<Attempt> successes_;
  OpenSlices slices_;
  bool tending_ = false;
  bool writing_ = false;
  SteadyTime not_before_{};
  std::function<void()> flushed_;
  TimerId tick_ = kNoTimer;
  TimerId tend_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
