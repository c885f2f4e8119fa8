#include "event-manager/src/adapters/lag_archive.h"

#include <algorithm>

#include "common/log.h"

namespace dispatch {

namespace {

constexpr int64_t kTendEvery = kLagHour;
constexpr std::chrono::milliseconds kWriteTime{20};
constexpr int64_t kSettleTime = 2 * kLagMinute;  // after an hour, for its last minutes to come

LagPoint PointOf(const LagBoard::Subscription& row, int64_t at_ms) {
  const LagFigures& figures = row.figures;
  LagPoint point;
  point.at_ms = at_ms;
  point.waiting = figures.outstanding();
  if (figures.oldest_ms > 0) {
    point.oldest_seconds = std::max<int64_t>(0, at_ms - figures.oldest_ms) / 1'000;
  }
  point.settled = figures.settled();
  for (const auto& partition : figures.partitions) point.unread.push_back(partition.unread());
  return point;
}

}  // namespace

void LagArchive::Take(const LagBoard& board) {
  if (!leads_()) {
    // Who leads now goes on with it.
    Pack();
    if (!rows_.empty() && !writing_) Write([] {});
    next_hour_ms_ = 0;
    return;
  }
  if (board.at_ms / kSpacing == last_ms_ / kSpacing) return;
  last_ms_ = board.at_ms;
  if (board.at_ms / kLagMinute != minute_) {
    Pack();
    minute_ = board.at_ms / kLagMinute;
    if (!rows_.empty() && !writing_) Write([] {});
  }
  for (const auto& row : board.subscriptions) {
    points_[row.entity->uuid].push_back(PointOf(row, board.at_ms));
  }
}

// Closes the minute.
void LagArchive::Pack() {
  int64_t begun_ms = minute_ * kLagMinute;
  for (const auto& [subscription, points] : points_) {
    rows_.push_back({begun_ms, subscription, PackLag(begun_ms, points)});
  }
  points_.clear();
}

void LagArchive::Write(std::function<void()> done) {
  writing_ = true;
  int64_t now_ms = ToMillis(loop_.Now());
  bool tend = now_ms - tended_ms_ >= kTendEvery || now_ms < tended_ms_;
  // One hour with each write, those of the last day first of all that nobody made.
  int64_t most_ms = (now_ms - kSettleTime) / kLagHour * kLagHour;  // the first one that is not over
  if (next_hour_ms_ == 0) next_hour_ms_ = most_ms - kLagMinutesKept + kLagHour;
  int64_t hour_ms = next_hour_ms_ < most_ms ? next_hour_ms_ : 0;
  pool_.Run(
      [rows = rows_, tend, hour_ms, now_ms](pg::Transaction& tx) -> Status {
        if (tend)
          RETURN_IF_ERROR(TendLagTables(tx, rows.empty() ? now_ms : rows[0].begun_ms, now_ms));
        RETURN_IF_ERROR(WriteLagMinutes(tx, rows));
        return hour_ms > 0 ? SumUpLagHour(tx, hour_ms).status() : OkStatus();
      },
      [this, alive = std::weak_ptr(alive_), count = rows_.size(), tend, hour_ms, now_ms,
       done = std::move(done)](const Status& status) {
        if (alive.expired()) return;
        writing_ = false;
        if (status.ok() && tend) tended_ms_ = now_ms;
        Written(count, hour_ms, status);
        done();
      });
}

void LagArchive::Written(size_t rows, int64_t hour_ms, const Status& status) {
  if (!status.ok()) {
    if (log::Sometimes("lag.history")) {
      log::Warning("cannot write the history of the lag error=\"{}\"", status.message());
    }
    tended_ms_ = 0;
    int64_t oldest_ms = minute_ * kLagMinute - kMostUnwritten;
    std::erase_if(rows_, [&](const LagRow& row) { return row.begun_ms < oldest_ms; });
    return;
  }
  // Those that came meanwhile are behind them.
  rows_.erase(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(rows));
  if (hour_ms > 0 && next_hour_ms_ == hour_ms) next_hour_ms_ += kLagHour;
}

void LagArchive::Flush(std::function<void()> done) {
  if (writing_) {
    loop_.After(kWriteTime,
                [this, alive = std::weak_ptr(alive_), done = std::move(done)]() mutable {
                  if (!alive.expired()) Flush(std::move(done));
                });
    return;
  }
  Pack();
  rows_.empty() ? done() : Write(std::move(done));
}

void LagArchive::Read(std::vector<Uuid> subscriptions, int64_t from_ms, int64_t to_ms, bool fine,
                      std::function<void(Result<LagPoints>)> done) {
  pool_.Query<LagPoints>(
      [subscriptions, from_ms, to_ms, fine](pg::Transaction& tx) {
        return ReadLagPoints(tx, subscriptions, from_ms, to_ms, fine);
      },
      [this, alive = std::weak_ptr(alive_), subscriptions, from_ms, to_ms,
       done = std::move(done)](Result<LagPoints> points) {
        if (alive.expired() || !points.ok()) return done(std::move(points));
        for (const auto& subscription : subscriptions) {
          auto newest = points_.find(subscription);
          if (newest == points_.end()) continue;
          for (const auto& point : newest->second) {
            bool asked = point.at_ms >= from_ms && point.at_ms < to_ms;
            if (asked) (*points)[subscription].push_back(point);
          }
        }
        done(std::move(points));
      });
}

}  // namespace dispatch
