#pragma once

#include <memory>
#include <vector>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "function-manager/src/adapters/run_rows.h"
#include "function-manager/src/domain/run_execution.h"
#include "function-manager/src/domain/sender.h"

namespace dispatch {

/// Deliveries to functions, in front of the sender of all others: a sink with a `function` runs it
/// on the event's data, with its envelope (CloudEvents 0.1, as VMware's functions know it) as
/// `context.event`. Keeps a run of each attempt. One owner.
class FunctionSender : public Sender {
 public:
  FunctionSender(Loop& loop, pg::Pool& pool, FunctionCatalog& catalog, RunExecution& execution,
                 Sender& others)
      : loop_(loop), pool_(pool), catalog_(catalog), execution_(execution), others_(others) {}

  void Send(SendRequest request, std::function<void(Answer)> done) override;
  /// Writes what is not written yet.
  void Flush(std::function<void()> done);

 private:
  void Keep(Run run);
  void Write();

  Loop& loop_;
  pg::Pool& pool_;
  FunctionCatalog& catalog_;
  RunExecution& execution_;
  Sender& others_;
  std::vector<Run> unwritten_;
  bool writing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
