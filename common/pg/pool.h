#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace dispatch::pg {

/// A value that goes to or comes from PostgreSQL in text form; nothing is NULL.
using Value = std::optional<std::string>;

/// Bytes as a bytea literal in text form, and back.
std::string EncodeBytea(std::string_view bytes);
Result<std::string> DecodeBytea(std::string_view text);
/// A text[] (or bytea[] of EncodeBytea values, int8[] of decimal strings...) literal for unnest.
std::string EncodeArray(const std::vector<Value>& values);

class Row {
 public:
  explicit Row(const std::vector<Value>* fields) : fields_(fields) {}
  bool IsNull(size_t column) const { return !(*fields_)[column].has_value(); }
  /// Empty for NULL.
  const std::string& Text(size_t column) const;
  int64_t Int(size_t column) const;
  bool Bool(size_t column) const;
  std::string Bytes(size_t column) const;

 private:
  const std::vector<Value>* fields_;
};

class Rows {
 public:
  Rows() = default;
  Rows(std::vector<std::vector<Value>> rows, size_t affected)
      : rows_(std::move(rows)), affected_(affected) {}
  size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }
  Row operator[](size_t i) const { return Row(&rows_[i]); }
  size_t affected() const { return affected_; }

 private:
  std::vector<std::vector<Value>> rows_;
  size_t affected_ = 0;
};

/// What a closure given to Pool::Run runs in.
enum class Unit {
  kTransaction,
  /// At most one Exec, committed by itself: a third of the round trips, for what is done all the
  /// time. It may come twice to the database when a connection is lost, so it must do no harm then.
  kStatement,
};

/// One transaction, used on a pool thread inside the closure given to Pool::Run.
class Transaction {
 public:
  virtual ~Transaction() = default;
  /// Runs one statement with $1.. parameters; prepared once per connection and text. Errors:
  /// kAlreadyExists for unique violations, kConflict for foreign keys, kUnavailable for lost
  /// connections, kInternal else. After an error the closure must return it.
  virtual Result<Rows> Exec(const std::string& sql, const std::vector<Value>& params = {}) = 0;
  /// Runs several statements, without parameters or rows; for migrations.
  virtual Status ExecScript(const std::string& sql) = 0;
};

struct PoolOptions {
  std::string url;  // postgresql://user@host:port/database?..., or key=value words; TLS by sslmode
  int connections = 4;  // at most; one at first, more while that many transactions run at once
  std::chrono::milliseconds connections_keep{30'000};  // those that were too many for so long go
  size_t max_queue = 10'000;                           // over it: kResourceExhausted at once
  std::chrono::milliseconds queue_timeout{20'000};     // waited longer: kUnavailable, never begun
  std::string application_name;
  std::chrono::milliseconds connect_timeout{3'000};  // whole seconds, at least 2: libpq's
  std::chrono::milliseconds statement_timeout{30'000};
  std::chrono::milliseconds idle_in_transaction_timeout{60'000};
  std::chrono::milliseconds stop_wait{5'000};
};

/// Blocking PostgreSQL behind as few threads as do, one connection each. A closure runs in one
/// transaction; it is run again (up to 5 times, short backoff) after 40001 and 40P01, so it must
/// not have effects outside. A lost connection is opened again on next use. Callbacks come through
/// `reply_to`.
class Pool {
 public:
  Pool(PoolOptions options, Executor& reply_to);
  /// Waits for what runs, for `stop_wait` at most: then its connections are broken off.
  ~Pool();

  using Work = std::function<Status(Transaction&)>;
  using Done = std::function<void(Status)>;
  /// Thread-safe.
  void Run(Work work, Done done, Unit unit = Unit::kTransaction);

  /// The typed form: `work` returns Result<T>, `done` gets it.
  template <typename T>
  void Query(std::function<Result<T>(Transaction&)> work, std::function<void(Result<T>)> done,
             Unit unit = Unit::kTransaction) {
    auto slot = std::make_shared<std::optional<Result<T>>>();
    Run(
        [slot, work = std::move(work)](Transaction& tx) -> Status {
          slot->emplace(work(tx));
          return (*slot)->status();
        },
        [slot, done = std::move(done)](Status status) {
          done(status.ok() ? std::move(**slot) : Result<T>(status));
        },
        unit);
  }

  /// Like Run, for start-up: an error kUnavailable is not retryable when only another pg-url can
  /// help.
  void RunFirst(Work work, Done done);
  /// Runs `work` on the calling thread on a connection of its own; errors are RunFirst's.
  Status RunNow(const Work& work);

 private:
  struct Impl;
  void Add(Work work, Done done, Unit unit, bool first);
  std::shared_ptr<Impl> impl_;
};

/// One numbered migration: `schema/sql/<service>/NNNN_name.sql`, embedded at build time.
struct Migration {
  int number;
  std::string name;
  std::string sql;
};

/// Applies, under an advisory lock, the migrations that the database lacks, each in a transaction.
/// Refuses (kConflict) a database that is newer than the program, or whose recorded text differs.
Status Migrate(Pool& pool, const std::vector<Migration>& migrations);

/// The same for start-up, on the pool's threads, after `delay`: tries again every second, with a
/// warning, while PostgreSQL is away, and not at all for what only another pg-url can mend. `done`
/// gets the end of it, on the loop.
void MigrateWhenUp(Loop& loop, Pool& pool, std::vector<Migration> migrations,
                   std::function<void(Status)> done, Duration delay = Duration(0));

}  // namespace dispatch::pg
