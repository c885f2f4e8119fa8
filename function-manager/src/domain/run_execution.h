#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/span.h"
#include "function-manager/src/domain/credentials.h"
#include "function-manager/src/domain/function_catalog.h"
#include "function-manager/src/domain/json_schema.h"
#include "function-manager/src/domain/run.h"

namespace dispatch {

/// What one run takes, in VMware's order: the input against its schema, the secrets (the
/// function's, then the run's, merged flat, the last wins), the function, the output against its
/// schema. One owner; after its end nothing is called back.
class RunExecution {
 public:
  using FunctionPtr = std::shared_ptr<const ReadyFunction>;
  using Secrets = std::shared_ptr<const SecretValues>;
  /// The values of a secret; kNotFound when there is none.
  using GetSecret = std::function<void(const std::string& org, const std::string& name,
                                       std::function<void(Result<Secrets>)> done)>;

  RunExecution(Runner& runner, GetSecret get_secret, const Tracer* tracer = nullptr)
      : runner_(runner), get_secret_(std::move(get_secret)), tracer_(tracer) {}

  /// `run` names it in its span. `limit` is how long it may take, beside the function's own
  /// timeout; 0: no limit of its own. May call back inside the call.
  void Execute(const Uuid& run, FunctionPtr function, const RunRequest& request,
               std::chrono::milliseconds limit, std::function<void(RunOutcome)> done);

 private:
  struct Work;
  struct Schemas {
    Result<JsonSchema> in = JsonSchema();
    Result<JsonSchema> out = JsonSchema();
  };
  using SchemasPtr = std::shared_ptr<const Schemas>;

  SchemasPtr SchemasOf(const ReadyFunction& function);
  std::function<void(RunOutcome)> Traced(const SpanPtr& span,
                                         std::function<void(RunOutcome)> done) const;
  void AddSecret(std::shared_ptr<Work> work);
  void Start(const std::shared_ptr<Work>& work);

  Runner& runner_;
  GetSecret get_secret_;
  const Tracer* tracer_;
  std::unordered_map<Uuid, SchemasPtr> schemas_;  // by version
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
