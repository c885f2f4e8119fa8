#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/crypto.h"
#include "common/log.h"
#include "common/pg/pool.h"

namespace dispatch::pg {

namespace {

constexpr Duration kAway = std::chrono::seconds(1);

struct Known {
  std::string name;
  std::string checksum;
};

std::string Checksum(const Migration& migration) {
  return crypto::HexEncode(crypto::Sha256(migration.sql));
}

// Takes the lock, which the transaction's end frees, and reads what the database has.
Result<std::map<int, Known>> LockAndRead(Transaction& tx) {
  // A migration may take its time, and so may the wait for another program's.
  RETURN_IF_ERROR(tx.ExecScript("set local statement_timeout = 0"));
  // "dispatch" as a number: any constant that other programs do not use.
  RETURN_IF_ERROR(tx.Exec("select pg_advisory_xact_lock(7235419283746512)"));
  RETURN_IF_ERROR(
      tx.ExecScript("create table if not exists dispatch_migrations ("
                    "number int primary key, name text not null, checksum text not null, "
                    "applied_at timestamptz not null default now())"));
  ASSIGN_OR_RETURN(Rows rows, tx.Exec("select number, name, checksum from dispatch_migrations"));
  std::map<int, Known> applied;
  for (size_t i = 0; i < rows.size(); ++i) {
    applied[static_cast<int>(rows[i].Int(0))] = {rows[i].Text(1), rows[i].Text(2)};
  }
  return applied;
}

Status Compare(const std::map<int, Known>& applied, const std::vector<Migration>& migrations) {
  for (const auto& [number, have] : applied) {
    auto it = std::find_if(migrations.begin(), migrations.end(),
                           [n = number](const Migration& m) { return m.number == n; });
    if (it == migrations.end()) {
      return {
          Code::kConflict,
          fmt::format("the database has migration {} '{}', which this program does not know: it "
                      "is newer; install that version, or restore a backup",
                      number, have.name)};
    }
    if (Checksum(*it) != have.checksum) {
      return {Code::kConflict,
              fmt::format("migration {} '{}' is not the one that the database was made with; never "
                          "change a migration, add another",
                          number, have.name)};
    }
  }
  return OkStatus();
}

// Which are missing is told in `missing`.
Pool::Work Check(const std::vector<Migration>& all, std::vector<Migration>& missing) {
  return [&all, &missing](Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(auto applied, LockAndRead(tx));
    RETURN_IF_ERROR(Compare(applied, all));
    missing.clear();
    for (const Migration& migration : all) {
      if (!applied.contains(migration.number)) missing.push_back(migration);
    }
    std::sort(missing.begin(), missing.end(),
              [](const Migration& a, const Migration& b) { return a.number < b.number; });
    return OkStatus();
  };
}

// Looks again, since another program may have been first.
Pool::Work Apply(const Migration& migration) {
  return [&migration](Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(auto applied, LockAndRead(tx));
    if (applied.contains(migration.number)) return OkStatus();
    log::Info("applying migration number={} name={}", migration.number, migration.name);
    RETURN_IF_ERROR(tx.ExecScript(migration.sql));
    return tx
        .Exec("insert into dispatch_migrations (number, name, checksum) values ($1, $2, $3)",
              {std::to_string(migration.number), migration.name, Checksum(migration)})
        .status();
  };
}

// An error says which migration it is of.
Status Named(const Migration& migration, const Status& status) {
  if (status.ok()) return status;
  Error error = status.error();
  error.message =
      fmt::format("migration {} '{}': {}", migration.number, migration.name, error.message);
  return error;
}

/// One start-up's, on the pool's threads: a wait for the lock, or for a server that hangs, must not
/// keep the loop from hearing that it is to stop.
struct Migrating : std::enable_shared_from_this<Migrating> {
  Migrating(Loop& l, Pool& p, std::vector<Migration> m, std::function<void(Status)> d)
      : loop(l), pool(p), all(std::move(m)), done(std::move(d)) {}

  void Begin() {
    next = 0;
    pool.RunFirst(Check(all, missing),
                  [self = shared_from_this()](const Status& status) { self->Go(status); });
  }
  void Go(const Status& status) {
    if (!status.ok() && status.error().retryable) {
      log::Warning("waiting for PostgreSQL error=\"{}\"", status.message());
      loop.After(kAway, [self = shared_from_this()] { self->Begin(); });
      return;
    }
    if (!status.ok() || next == missing.size()) return done(status);
    const Migration& migration = missing[next++];
    pool.RunFirst(Apply(migration), [self = shared_from_this(), &migration](const Status& applied) {
      self->Go(Named(migration, applied));
    });
  }

  Loop& loop;
  Pool& pool;
  const std::vector<Migration> all;
  std::vector<Migration> missing;
  size_t next = 0;
  const std::function<void(Status)> done;
};

}  // namespace

Status Migrate(Pool& pool, const std::vector<Migration>& migrations) {
  std::vector<Migration> missing;
  RETURN_IF_ERROR(pool.RunNow(Check(migrations, missing)));
  for (const Migration& migration : missing) {
    RETURN_IF_ERROR(Named(migration, pool.RunNow(Apply(migration))));
  }
  return OkStatus();
}

void MigrateWhenUp(Loop& loop, Pool& pool, std::vector<Migration> migrations,
                   std::function<void(Status)> done, Duration delay) {
  auto migrating = std::make_shared<Migrating>(loop, pool, std::move(migrations), std::move(done));
  loop.After(delay, [migrating] { migrating->Begin(); });
}

}  // namespace dispatch::pg
