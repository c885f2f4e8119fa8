#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "common/uuid.h"
#include "function-manager/src/domain/runner.h"

namespace dispatch {

/// What a run needs of a function that is READY.
struct ReadyFunction {
  Uuid uuid;
  Runner::VersionPtr version;  // its directories are there
  json::value schema_in;       // JSON Schemas; null: none
  json::value schema_out;
  std::vector<std::string> secrets;      // names
  std::chrono::milliseconds timeout{0};  // 0: none of its own
};

/// The functions that can be run by this instance. One owner.
class FunctionCatalog {
 public:
  virtual ~FunctionCatalog() = default;
  using Done = std::function<void(Result<std::shared_ptr<const ReadyFunction>>)>;

  /// Makes its directories first when this instance lacks them. kNotFound: there is none of that
  /// name, or none that is READY ("function X is not READY", with its reason); kUnavailable: it
  /// cannot be said or made now.
  virtual void Find(const std::string& org, const std::string& name, Done done) = 0;
};

}  // namespace dispatch
