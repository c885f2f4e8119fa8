#pragma once

#include <memory>

#include "broker-adapters/state_table.h"
#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/domain/function_catalog.h"

namespace dispatch {

/// Functions of runtime `http`, which the user runs at a URL: `POST {context, payload}`, answered
/// by 200 `{context: {error, logs: {stdout, stderr}}, payload}` (DESIGN section 7). Every other
/// function is `others`'. One owner.
class HttpFunctionCatalog : public FunctionCatalog {
 public:
  HttpFunctionCatalog(Loop& loop, const broker::StateTable& functions, FunctionCatalog& others)
      : loop_(loop), functions_(functions), others_(others) {}

  /// One that was just made may not be in our own state yet: it is waited for, a second at most.
  void Find(const std::string& org, const std::string& name, Done done) override;

 private:
  void FindUntil(const std::string& org, const std::string& name, SteadyTime deadline, Done done);

  Loop& loop_;
  const broker::StateTable& functions_;
  FunctionCatalog& others_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// Runs them; versions of another language are `others`'.
class HttpFunctionRunner : public Runner {
 public:
  HttpFunctionRunner(EventLoop& loop, http::ClientOptions options, Runner& others)
      : loop_(loop), others_(others), client_(loop, std::move(options)) {}

  void Prove(VersionPtr version, std::function<void(Status)> done) override;
  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) override;
  void Retire(const Uuid& version) override { others_.Retire(version); }

 private:
  EventLoop& loop_;
  Runner& others_;
  http::Client client_;
};

}  // namespace dispatch
