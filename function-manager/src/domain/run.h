#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "common/uuid.h"
#include "function-manager/src/domain/runner.h"

namespace dispatch {

/// What a run is asked to do. Names of secrets, never values: it is stored.
struct RunRequest {
  bool blocking = false;
  json::value input;
  json::value event;         // an event's envelope, without its data; null: none
  json::value http_context;  // of a request to an endpoint; null: none
  std::vector<std::string> secrets;
  json::array tags;
  std::string traceparent;  // of who asked, where that is sampled; empty: none
};

/// VMware's names for how a run stands.
inline constexpr char kRunWaiting[] = "INITIALIZED";
inline constexpr char kRunRunning[] = "CREATING";
inline constexpr char kRunDone[] = "READY";
inline constexpr char kRunFailed[] = "ERROR";

inline constexpr char kInputError[] = "InputError";
inline constexpr char kFunctionError[] = "FunctionError";
inline constexpr char kSystemError[] = "SystemError";

/// A run as it is kept.
struct Run {
  Uuid id;
  std::string org;
  std::string function;
  Uuid function_id;
  Uuid faas_id;
  std::string status = kRunWaiting;
  RunRequest request;
  RunOutcome outcome;       // when it ended
  int64_t executed_us = 0;  // unix; when it was asked for
  int64_t finished_us = 0;  // 0: not yet

  bool finished() const { return finished_us != 0; }
  /// Ends it with what came of it.
  void Finish(RunOutcome result, int64_t now_us);
};

/// Reads the body of a request: {blocking, input, event, httpContext, secrets, tags}. Null is
/// empty. kUnprocessable naming the fields that do not hold.
Result<RunRequest> ReadRunRequest(const json::object& body);

/// The request as it is stored, and back.
json::object RequestDocument(const RunRequest& request);
RunRequest RequestOf(const json::object& document);
/// The outcome as it is stored, and back.
json::object OutcomeDocument(const RunOutcome& outcome);
RunOutcome OutcomeOf(const json::object& document);

/// The API form, VMware's: times in unix nanoseconds.
json::object RunForm(const Run& run);
/// What a reply between the services may hold of runs, in bytes of JSON.
inline constexpr size_t kMostRunBytes = 1'500'000;
/// The same within kMostRunBytes, about: of a run that has more, input, httpContext, event and logs
/// are left out as far as needed, in the end (`without_output`) the output, and `omitted` names
/// them.
json::object RunFormThatFits(const Run& run, bool without_output);
/// What tells how a run stands, without what it was given, gave and printed.
json::object RunSummary(const Run& run);

}  // namespace dispatch
