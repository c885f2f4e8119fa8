#pragma once

#include <memory>

#include "common/clock.h"
#include "function-manager/src/adapters/run_writer.h"
#include "function-manager/src/domain/run_execution.h"
#include "function-manager/src/domain/sender.h"

namespace dispatch {

/// Deliveries to functions, in front of the sender of all others: a sink with a `function` runs it
/// on the event's data, with its envelope (CloudEvents 0.1, as VMware's functions know it) as
/// `context.event`. Keeps a run of each attempt. One owner.
class FunctionSender : public Sender {
 public:
  FunctionSender(Loop& loop, RunWriter& writer, FunctionCatalog& catalog, RunExecution& execution,
                 Sender& others)
      : loop_(loop), writer_(writer), catalog_(catalog), execution_(execution), others_(others) {}

  void Send(SendRequest request, std::function<void(Answer)> done) override;

 private:
  void Keep(Run run);

  Loop& loop_;
  RunWriter& writer_;
  FunctionCatalog& catalog_;
  RunExecution& execution_;
  Sender& others_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
