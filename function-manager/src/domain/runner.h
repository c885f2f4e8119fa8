#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"
#include "common/uuid.h"

namespace dispatch {

/// What all runs of one version of a function have in common (decision 0017). Never changes.
struct FunctionVersion {
  Uuid id;  // faasId
  std::string org;
  std::string name;
  std::string language;  // python3, nodejs, java, powershell, binary
  std::string image;     // directory of installed dependencies; empty: none
  std::string source;    // directory of the unpacked source
  std::string handler;   // as the language names it; empty: found in the source
  bool network = false;
  int64_t memory_bytes = 256 * 1024 * 1024;
  int32_t cpu_millis = 1000;  // of one processor, a second
  int32_t processes = 32;
  int64_t file_bytes = 64 * 1024 * 1024;  // in /tmp, in all
  int32_t concurrency = 1;                // workers at most
};

/// No run takes longer, whatever its own timeout says.
inline constexpr std::chrono::milliseconds kLongestRun = std::chrono::minutes(15);

/// Context keys are VMware's: secrets, event, httpContext, serviceBindings, deadline.
struct RunInput {
  json::object context;
  json::value payload;
  /// From when it is asked for, the wait for a worker included; 0: none.
  std::chrono::milliseconds timeout{0};
  std::string traceparent;  // of the run; empty: none
};

/// DESIGN section 7: InputError (the caller's fault), FunctionError (the function's), SystemError
/// (ours).
struct RunError {
  std::string type;
  std::string message;
  std::vector<std::string> stacktrace;
};

struct RunOutcome {
  std::optional<RunError> error;
  json::value payload;  // null with an error
  std::vector<std::string> out;
  std::vector<std::string> err;
  bool logs_cut = false;                 // there was more than is kept of a run
  bool cold = false;                     // a worker was started for it
  std::chrono::microseconds elapsed{0};  // in the worker
};

/// Runs functions. One owner; never calls back inside a call; after its end nothing is called back.
class Runner {
 public:
  virtual ~Runner() = default;
  using VersionPtr = std::shared_ptr<const FunctionVersion>;

  /// Loads the handler once and says whether it can serve: kUnprocessable with the function's own
  /// words (no such handler, a syntax error, a wrong number of arguments), kUnavailable when it is
  /// not the function's fault.
  virtual void Prove(VersionPtr version, std::function<void(Status)> done) = 0;

  /// Always answers once, with whatever went wrong as its error.
  virtual void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) = 0;

  /// No run comes any more: its workers end when what they do is done.
  virtual void Retire(const Uuid& version) = 0;
};

}  // namespace dispatch
