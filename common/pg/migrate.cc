#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/crypto.h"
#include "common/log.h"
#include "common/pg/pool.h"

namespace dispatch::pg {

namespace {

constexpr Duration kAway = std::chrono::seconds(1);

struct Applied {
  std::string name;
  std::string checksum;
};

std::string Checksum(const Migration& migration) {
  return crypto::HexEncode(crypto::Sha256(migration.sql));
}

// Takes the lock, which the transaction's end frees, and reads what the database has.
Result<std::map<int, Applied>> LockAndRead(Transaction& tx) {
  // A migration may take its time, and so may the wait for another program's.
  RETURN_IF_ERROR(tx.ExecScript("set local statement_timeout = 0"));
  // "dispatch" as a number: any constant that other programs do not use.
  RETURN_IF_ERROR(tx.Exec("select pg_advisory_xact_lock(7235419283746512)"));
  RETURN_IF_ERROR(
      tx.ExecScript("create table if not exists dispatch_migrations ("
                    "number int primary key, name text not null, checksum text not null, "
                    "applied_at timestamptz not null default now())"));
  ASSIGN_OR_RETURN(Rows rows, tx.Exec("select number, name, checksum from dispatch_migrations"));
  std::map<int, Applied> applied;
  for (size_t i = 0; i < rows.size(); ++i) {
    applied[static_cast<int>(rows[i].Int(0))] = {rows[i].Text(1), rows[i].Text(2)};
  }
  return applied;
}

Status Compare(const std::map<int, Applied>& applied, const std::vector<Migration>& migrations) {
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

}  // namespace

Status Migrate(Pool& pool, const std::vector<Migration>& migrations) {
  std::vector<Migration> ordered = migrations;
  std::sort(ordered.begin(), ordered.end(),
            [](const Migration& a, const Migration& b) { return a.number < b.number; });
  // Every transaction looks again, since another program may have been first.
  RETURN_IF_ERROR(pool.RunNow([&](Transaction& tx) -> Status {
    ASSIGN_OR_RETURN(auto applied, LockAndRead(tx));
    return Compare(applied, ordered);
  }));
  for (const Migration& migration : ordered) {
    bool ran = false;
    auto status = pool.RunNow([&](Transaction& tx) -> Status {
      ran = false;
      ASSIGN_OR_RETURN(auto applied, LockAndRead(tx));
      if (applied.contains(migration.number)) return OkStatus();
      RETURN_IF_ERROR(tx.ExecScript(migration.sql));
      RETURN_IF_ERROR(
          tx.Exec("insert into dispatch_migrations (number, name, checksum) values ($1, $2, $3)",
                  {std::to_string(migration.number), migration.name, Checksum(migration)}));
      ran = true;
      return OkStatus();
    });
    if (!status.ok()) {
      Error error = status.error();
      error.message =
          fmt::format("migration {} '{}': {}", migration.number, migration.name, error.message);
      return error;
    }
    if (ran) log::Info("migration applied number={} name={}", migration.number, migration.name);
  }
  return OkStatus();
}

void MigrateWhenUp(Loop& loop, Pool& pool, std::vector<Migration> migrations,
                   std::function<void(Status)> done, Duration delay) {
  loop.After(delay,
             [&loop, &pool, migrations = std::move(migrations), done = std::move(done)]() mutable {
               auto status = Migrate(pool, migrations);
               if (status.ok() || !status.error().retryable) return done(std::move(status));
               log::Warning("waiting for PostgreSQL error=\"{}\"", status.message());
               MigrateWhenUp(loop, pool, std::move(migrations), std::move(done), kAway);
             });
}

}  // namespace dispatch::pg
