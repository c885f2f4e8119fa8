#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/run_rows.h"
#include "function-manager/src/adapters/run_writer.h"
#include "function-manager/src/domain/run_execution.h"

namespace dispatch {

/// `run.create|cancel|rerun|get|list|changes`, and the runs that nobody waits for: they are written
/// before they are answered, claimed from the table `runs` under leases, and begun again under the
/// same id when an instance dies with them. A blocking run is written when it ended. One owner.
class RunCommands {
 public:
  struct Options {
    std::chrono::milliseconds retention = std::chrono::hours(72);
    size_t max_in_flight = 256;
    size_t max_in_flight_per_function = 32;
    int max_attempts = 4;  // of a run that no attempt brought to an end
    // That somebody waits for, which hold a place among the requests of this instance for minutes.
    size_t max_blocking = 500;
    size_t max_blocking_per_org = 250;
  };
  RunCommands(Loop& loop, pg::Pool& pool, FunctionCatalog& catalog, RunExecution& execution,
              RunWriter& writer, Options options);

  void Register(broker::RpcServer& server);
  /// Begins to claim.
  void Start();
  /// Claims no more and gives back what runs here.
  void Stop(std::function<void()> done);

  size_t in_flight() const { return running_.size(); }

 private:
  using Responder = broker::RpcServer::Responder;

  void Create(schema::Request request, Responder respond);
  void RunNow(const RunExecution::FunctionPtr& function, Run run, Responder respond);
  void Cancel(const schema::Request& request, Responder respond);
  void Rerun(const schema::Request& request, Responder respond);
  void Get(const schema::Request& request, Responder respond);
  void List(const schema::Request& request, Responder respond);
  void Changes(const schema::Request& request, Responder respond);
  /// Writes a run that nobody waits for, once for each Idempotency-Key, and answers with it.
  void Keep(const schema::Request& request, Run run, Responder respond);
  void KeepOnce(const schema::Request& request, Run run, Responder respond);
  Status AdmitBlocking(const std::string& org) const;
  void EndBlocking(const std::string& org);
  Run NewRun(const std::string& org, const std::string& function, RunRequest request) const;

  void Nudge();
  void Claim();
  void LookAgain();
  void Begin(ClaimedRun claimed);
  void Ended(const Uuid& id, RunOutcome outcome);
  void Settle(const Uuid& id, std::function<Status(pg::Transaction&)> work);
  void Renew();
  void Forget();

  Loop& loop_;
  pg::Pool& pool_;
  FunctionCatalog& catalog_;
  RunExecution& execution_;
  RunWriter& writer_;
  const Options options_;
  const Uuid owner_ = Uuid::Random();
  std::unordered_map<Uuid, std::shared_ptr<ClaimedRun>> running_;
  size_t blocking_ = 0;
  std::unordered_map<std::string, size_t> blocking_of_;  // by organisation; none is 0
  TimerId look_ = kNoTimer;
  bool claiming_ = false;
  bool nudged_ = false;
  bool stopping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
