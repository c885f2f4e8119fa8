#include "broker-adapters/entities/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "common/version.h"

namespace dispatch {

namespace {

using Level = Finding::Level;

constexpr double kConnectionsNear = 0.8;
constexpr int64_t kLongTransaction = 600;  // s
constexpr char kFacts[] = R"(
  select (extract(epoch from clock_timestamp()) * 1000)::bigint,
    current_setting('fsync'), current_setting('synchronous_commit'),
    current_setting('full_page_writes'),
    current_setting('max_connections')::int
      - current_setting('superuser_reserved_connections')::int,
    (select sum(numbackends)::bigint from pg_stat_database),
    (select coalesce(max(extract(epoch from now() - xact_start)), 0)::bigint
      from pg_stat_activity where datname = current_database()
        and backend_type = 'client backend' and pid <> pg_backend_pid()),
    pg_database_size(current_database()),
    (select coalesce(max(number), 0) from dispatch_migrations))";

Result<PostgresFacts> ReadFacts(pg::Transaction& tx, int64_t known) {
  ASSIGN_OR_RETURN(pg::Rows rows, tx.Exec(kFacts));
  auto row = rows[0];
  PostgresFacts facts;
  facts.now_ms = row.Int(0);
  facts.settings = {{"fsync", row.Text(1)},
                    {"synchronous_commit", row.Text(2)},
                    {"full_page_writes", row.Text(3)}};
  facts.connections_max = row.Int(4);
  facts.connections = row.Int(5);
  facts.longest_transaction_s = row.Int(6);
  facts.database_bytes = row.Int(7);
  facts.migrations_applied = row.Int(8);
  facts.migrations_known = known;
  return facts;
}

Finding JudgeDurability(const PostgresFacts& facts) {
  std::string off;
  for (const auto& [name, value] : facts.settings) {
    if (value == "off") off += (off.empty() ? "" : ", ") + name;
  }
  if (off.empty()) return {Level::kOk, "postgres.durability", "what is committed is on disk", {}};
  return {Level::kFailure, "postgres.durability",
          fmt::format("{} off: a crash of its machine loses or breaks what was committed", off),
          fmt::format("set {} = on in postgresql.conf and reload", off)};
}

Finding JudgeConnections(const PostgresFacts& facts) {
  std::string text = fmt::format("{} of {} connections", facts.connections, facts.connections_max);
  bool near = static_cast<double>(facts.connections) >
              kConnectionsNear * static_cast<double>(facts.connections_max);
  if (!near) return {Level::kOk, "postgres.connections", std::move(text), {}};
  return {Level::kWarning, "postgres.connections", text + ": a service that restarts may get none",
          "raise max_connections, or lower --pg-connections of the services"};
}

Finding JudgeMigrations(const PostgresFacts& facts) {
  std::string text = fmt::format("migration {}", facts.migrations_applied);
  if (facts.migrations_applied == facts.migrations_known) {
    return {Level::kOk, "postgres.migrations", std::move(text), {}};
  }
  return {Level::kWarning, "postgres.migrations",
          fmt::format("the database has {}, this program {}", text, facts.migrations_known),
          "an upgrade is under way: finish it, so that no older instance is left"};
}

Finding JudgeTransactions(const PostgresFacts& facts) {
  if (facts.longest_transaction_s < kLongTransaction) {
    return {Level::kOk, "postgres.transactions", "none is old", {}};
  }
  return {Level::kWarning, "postgres.transactions",
          fmt::format("one is open for {} min: vacuum cannot clean what the queues leave",
                      facts.longest_transaction_s / 60),
          "find it: select pid, xact_start, query from pg_stat_activity order by xact_start"};
}

}  // namespace

Findings JudgePostgres(const PostgresFacts& facts, int64_t before_ms, int64_t after_ms) {
  return {
      JudgeDurability(facts),
      JudgeConnections(facts),
      JudgeMigrations(facts),
      JudgeTransactions(facts),
      JudgeClocks("postgres.clock", "the clock of PostgreSQL",
                  ClockSkew(facts.now_ms, before_ms, after_ms)),
      {Level::kOk, "postgres.size", fmt::format("{} MB", facts.database_bytes / 1'000'000), {}}};
}

Doctor::Doctor(Loop& loop, pg::Pool& pool, std::string service,
               const std::vector<pg::Migration>& migrations)
    : loop_(loop), pool_(pool), service_(std::move(service)) {
  for (const auto& migration : migrations) {
    newest_migration_ = std::max<int64_t>(newest_migration_, migration.number);
  }
}

void Doctor::LookAtPostgres(const std::function<void(Findings)>& done) {
  int64_t before = ToMillis(loop_.Now());
  pool_.Query<PostgresFacts>(
      [known = newest_migration_](pg::Transaction& tx) { return ReadFacts(tx, known); },
      [this, before, done](Result<PostgresFacts> facts) {
        if (facts.ok()) return done(JudgePostgres(*facts, before, ToMillis(loop_.Now())));
        done({{Level::kFailure, "postgres.reachable", facts.message(),
               "see whether PostgreSQL runs, and pg-url"}});
      });
}

void Doctor::Report(broker::RpcServer::Responder respond) {
  struct Gathered {
    Findings findings;
    size_t waiting;
    broker::RpcServer::Responder respond;
  };
  auto all = std::make_shared<Gathered>(Gathered{{}, checks_.size() + 1, std::move(respond)});
  auto arrived = [this, all](Findings findings) {
    for (Finding& finding : findings) all->findings.push_back(std::move(finding));
    if (--all->waiting > 0) return;
    json::array forms;
    for (const Finding& finding : all->findings) forms.push_back(FindingForm(finding, service_));
    all->respond(broker::RpcReply{json::object{{"service", service_},
                                               {"version", BuildVersion()},
                                               {"commit", BuildCommit()},
                                               {"timeMs", ToMillis(loop_.Now())},
                                               {"findings", std::move(forms)}}});
  };
  LookAtPostgres(arrived);
  for (const Check& check : checks_) check(arrived);
}

void Doctor::Register(broker::RpcServer& server) {
  server.Handle("doctor.report", [this](const schema::Request&, broker::RpcServer::Responder r) {
    Report(std::move(r));
  });
}

}  // namespace dispatch
