#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "event-manager/src/adapters/lag_rows.h"
#include "event-manager/src/adapters/lag_survey.h"

namespace dispatch {

/// The stored history of the lag: of every subscription that the monitor looks at a point each 10 s
/// for a day, and one each 5 min for 14 days. Whoever leads writes it, once a minute in one
/// statement; what a crash takes is at most the last minute, and while PostgreSQL is away ten
/// minutes are kept in memory. Reads are answered by any instance. One owner.
class LagArchive {
 public:
  LagArchive(Loop& loop, pg::Pool& pool, std::function<bool()> leads)
      : loop_(loop), pool_(pool), leads_(std::move(leads)) {}

  static constexpr int64_t kSpacing = 10'000;  // ms between points
  static constexpr int64_t kMostUnwritten = 10 * kLagMinute;

  /// What the monitor saw.
  void Take(const LagBoard& board);
  /// Writes what is not written yet: for the end.
  void Flush(std::function<void()> done);
  /// As ReadLagPoints, with the minute that is not over. Steps of 5 min and more need not be fine.
  void Read(std::vector<Uuid> subscriptions, int64_t from_ms, int64_t to_ms, bool fine,
            std::function<void(Result<LagPoints>)> done);

 private:
  void Pack();
  void Write(std::function<void()> done);
  void Written(size_t rows, int64_t hour_ms, const Status& status);

  Loop& loop_;
  pg::Pool& pool_;
  std::function<bool()> leads_;
  LagPoints points_;          // of this minute
  std::vector<LagRow> rows_;  // of the minutes before, not written
  int64_t minute_ = -1;       // that points_ are of
  int64_t last_ms_ = 0;       // of the newest point
  int64_t tended_ms_ = 0;     // when the tables were looked after
  int64_t next_hour_ms_ = 0;  // that is to be summed up; 0: nobody looked yet
  bool writing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
