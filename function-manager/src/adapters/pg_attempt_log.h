#pragma once

#include <deque>
#include <memory>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/domain/attempt_log.h"

namespace dispatch {

/// The attempt log over the table `attempts`: batches of up to 1,000 rows, one statement under way,
/// a bounded queue before it. Rows older than the retention are deleted. One owner.
class PgAttemptLog : public AttemptLog {
 public:
  struct Options {
    size_t max_queue = 50'000;
    size_t batch = 1'000;
    Duration flush_interval = std::chrono::milliseconds(200);
    std::chrono::milliseconds retention = std::chrono::hours(72);
    Duration sweep_interval = std::chrono::minutes(1);
  };

  PgAttemptLog(Loop& loop, pg::Pool& pool, Options options);
  ~PgAttemptLog() override;

  /// Begins to write and to delete; what was recorded before waits. Call when the table is there.
  void Start();
  void Record(Attempt attempt) override;
  /// Writes what is queued, then runs `done`; for the end of the service.
  void Flush(std::function<void()> done);

 private:
  void Tick();
  void Write();
  void Sweep();

  Loop& loop_;
  pg::Pool& pool_;
  Options options_;
  std::deque<Attempt> queue_;
  bool started_ = false;
  bool writing_ = false;
  std::function<void()> flushed_;
  TimerId tick_ = kNoTimer;
  TimerId sweep_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
