#pragma once

#include <string>
#include <vector>

#include "cli/src/api.h"
#include "cli/src/output.h"

namespace dispatch::cli {

/// VMware's columns of runs: ID, FUNCTION, STATUS, STARTED, FINISHED.
const std::vector<Column>& RunColumns();
/// One row of them without headers, for lists that grow.
std::string RunLine(const json::object& run);
/// The run's lines: what it printed, and the error with its stack trace.
std::vector<std::string> OutputLines(const json::object& run);
std::vector<std::string> ErrorLines(const json::object& run);
/// Unix nanoseconds as "2026-01-02T03:04:05.006Z"; nothing for 0.
std::string NanoText(int64_t nanoseconds);
/// Whether it looks like the name of a run.
bool IsRunId(std::string_view word);
bool HasEnded(const json::object& run);

}  // namespace dispatch::cli
