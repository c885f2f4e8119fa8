#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "event-manager/src/adapters/drivers/driver_store.h"

namespace dispatch {

/// The text as PostgreSQL takes it, which wants UTF-8 without zeros: at most `most` bytes of whole
/// characters, '?' for what is none.
std::string StorableText(std::string text, size_t most);

/// Gathers the lines of one driver and writes them a few times a second, at most so many: what a
/// driver says without end must not fill the database. One owner.
class DriverLog {
 public:
  DriverLog(Loop& loop, DriverStore& store, Uuid driver, int64_t epoch)
      : loop_(loop), store_(store), driver_(driver), epoch_(epoch) {}
  /// Writes what is left.
  ~DriverLog();

  void Add(const std::string& stream, std::string line);

 private:
  void Flush();

  Loop& loop_;
  DriverStore& store_;
  const Uuid driver_;
  const int64_t epoch_;
  std::vector<DriverLine> lines_;
  int64_t dropped_ = 0;
  TimerId timer_ = kNoTimer;
};

}  // namespace dispatch
