#pragma once

#include <string>
#include <vector>

#include "common/json.h"

namespace dispatch {

/// What a check of a running installation found.
struct Finding {
  enum class Level { kOk, kWarning, kFailure };
  Level level = Level::kOk;
  std::string check;   // "postgres.fsync": area and what, the same each time
  std::string text;    // a sentence for people
  std::string remedy;  // what to do; empty when all is well
};
using Findings = std::vector<Finding>;

/// "ok", "warning", "failure".
const char* LevelName(Finding::Level level);
/// {"service", "check", "level", "text", "remedy"?}.
json::object FindingForm(const Finding& finding, const std::string& service);
/// Two clocks that are `skew_ms` apart, as far as that can be told: good up to a second.
Finding JudgeClocks(std::string check, const std::string& whose, int64_t skew_ms);
/// How far `there` is outside of the time between `before` and `after` here, in ms; 0: within.
int64_t ClockSkew(int64_t there_ms, int64_t before_ms, int64_t after_ms);

/// Of the file system that has `directory`; `what` is kept there.
Finding JudgeFreeSpace(std::string check, const std::string& what, const std::string& directory);

}  // namespace dispatch
