#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker-adapters/entities/entity_store.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// A driver that this instance runs, as the database has it.
struct ClaimedDriver {
  Uuid uuid;
  std::string org;
  std::string name;
  int64_t epoch = 0;
  int64_t revision = 0;
  json::object position;
  json::object document;
  json::object type;  // empty: a built-in one
};

struct DriverLine {
  int64_t at_ms = 0;
  std::string stream;
  std::string line;
};

/// The tables `driver_runs` and `driver_log`. Every write names the epoch of its lease, and none is
/// done after the lease's end, claimed anew or not. Needs no thread of its own.
class DriverStore {
 public:
  DriverStore(pg::Pool& pool, std::string owner, Duration ttl)
      : pool_(pool), owner_(std::move(owner)), ttl_(ttl) {}

  /// Renews what we own, claims up to `claims` more that nobody does, and gives all that we own
  /// then.
  void Turn(int claims, std::function<void(Result<std::vector<ClaimedDriver>>)> done);
  /// kFenced when the lease is not ours any more.
  void SavePosition(const Uuid& driver, int64_t epoch, const json::object& position,
                    std::function<void(Status)> done);
  /// Puts what is so into the entity, unless it says so already. True when it changed.
  void SetStatus(const ClaimedDriver& driver, const std::string& status, const std::string& reason,
                 std::function<void(Result<bool>)> done);
  /// Adds lines and forgets all but the newest of the driver.
  void AppendLog(const Uuid& driver, int64_t epoch, std::vector<DriverLine> lines,
                 std::function<void(Status)> done);
  /// So that others can have them at once.
  void ReleaseAll(std::function<void()> done);

  // Within the transaction that changes the entity.
  static Status Put(pg::Transaction& tx, const StoredEntity& driver);
  static Status Remove(pg::Transaction& tx, const Uuid& driver);
  /// The newest lines, oldest first.
  static Result<std::vector<DriverLine>> ReadLog(pg::Transaction& tx, const Uuid& driver,
                                                 int64_t since_ms, int64_t limit);

  const std::string& owner() const { return owner_; }
  Duration ttl() const { return ttl_; }

 private:
  pg::Pool& pool_;
  const std::string owner_;
  const Duration ttl_;
};

inline constexpr int64_t kKeptDriverLines = 1'000;

}  // namespace dispatch
