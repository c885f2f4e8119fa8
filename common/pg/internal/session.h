#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "common/pg/pool.h"

namespace dispatch::pg::internal {

/// One connection to PostgreSQL, opened when needed, and the rules for using it: prepared
/// statements, timeouts, which failures are tried again. Used by one thread at a time; it blocks.
class Session {
 public:
  explicit Session(const PoolOptions& options);
  ~Session();

  /// Runs `work` in its unit, again after a serialization failure or a deadlock, and once more
  /// when a connection that was open before turns out lost before the commit.
  Status Run(const Pool::Work& work, Unit unit = Unit::kTransaction);
  bool connected() const { return handle_ != nullptr; }
  /// Thread-safe: ends the wait of a Run for a server that does not answer, and lets none begin.
  void BreakOff();

 private:
  class Handle;
  struct Attempt;

  Status Connect();
  void Disconnect();
  Attempt Once(const Pool::Work& work, Unit unit);

  const PoolOptions options_;
  std::unique_ptr<Handle> handle_;  // none: not connected
  std::mutex mutex_;
  int socket_ = -1;          // guarded by mutex_; of handle_
  bool broken_off_ = false;  // guarded by mutex_
};

}  // namespace dispatch::pg::internal
