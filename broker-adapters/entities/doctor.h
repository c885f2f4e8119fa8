#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/finding.h"
#include "common/pg/pool.h"

namespace dispatch {

/// What PostgreSQL says of itself and of a service's database.
struct PostgresFacts {
  std::map<std::string, std::string> settings;  // fsync, synchronous_commit, full_page_writes
  int64_t now_ms = 0;
  int64_t connections = 0;      // of clients, all databases
  int64_t connections_max = 0;  // without those kept for superusers
  int64_t longest_transaction_s = 0;
  int64_t database_bytes = 0;
  int64_t migrations_applied = 0;  // the number of the newest
  int64_t migrations_known = 0;    // the number of the newest that this program has
};
/// `before_ms` and `after_ms` are this machine's clock around the question. Pure.
Findings JudgePostgres(const PostgresFacts& facts, int64_t before_ms, int64_t after_ms);

/// `doctor.report`: what a service finds when it looks at itself, its database and what it owns.
/// Answers {"service", "version", "commit", "timeMs", "findings": [...]}. One owner.
class Doctor {
 public:
  /// Calls back once, within some seconds.
  using Check = std::function<void(std::function<void(Findings)> done)>;

  Doctor(Loop& loop, pg::Pool& pool, std::string service,
         const std::vector<pg::Migration>& migrations);

  void AddCheck(Check check) { checks_.push_back(std::move(check)); }
  void Register(broker::RpcServer& server);

 private:
  void Report(broker::RpcServer::Responder respond);
  void LookAtPostgres(const std::function<void(Findings)>& done);

  Loop& loop_;
  pg::Pool& pool_;
  std::string service_;
  int64_t newest_migration_ = 0;
  std::vector<Check> checks_;
};

}  // namespace dispatch
