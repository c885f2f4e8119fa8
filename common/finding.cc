#include "common/finding.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

namespace dispatch {

namespace {

constexpr int64_t kSkewNoticed = 1'000;  // ms
constexpr int64_t kSkewHarms = 5'000;    // ages and deadlines are wrong by it

constexpr double kSpaceNear = 0.10;
constexpr double kSpaceShort = 0.02;

}  // namespace

const char* LevelName(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return "ok";
    case Finding::Level::kWarning:
      return "warning";
    case Finding::Level::kFailure:
      return "failure";
  }
  return "ok";
}

json::object FindingForm(const Finding& finding, const std::string& service) {
  json::object form{{"service", service},
                    {"check", finding.check},
                    {"level", LevelName(finding.level)},
                    {"text", finding.text}};
  if (!finding.remedy.empty()) form["remedy"] = finding.remedy;
  return form;
}

int64_t ClockSkew(int64_t there_ms, int64_t before_ms, int64_t after_ms) {
  if (there_ms < before_ms) return there_ms - before_ms;
  return there_ms > after_ms ? there_ms - after_ms : 0;
}

Finding JudgeClocks(std::string check, const std::string& whose, int64_t skew_ms) {
  using Level = Finding::Level;
  int64_t apart = std::abs(skew_ms);
  if (apart < kSkewNoticed) return {Level::kOk, std::move(check), whose + " agrees", {}};
  return {apart < kSkewHarms ? Level::kWarning : Level::kFailure, std::move(check),
          fmt::format("{} is {:.1f} s {}", whose, static_cast<double>(apart) / 1000,
                      skew_ms > 0 ? "ahead" : "behind"),
          "keep the clocks of all machines by NTP: ages, deadlines of requests and due times of "
          "retries are wrong by it"};
}

Finding JudgeFreeSpace(std::string check, const std::string& what, const std::string& directory) {
  using Level = Finding::Level;
  std::error_code error;
  auto space = std::filesystem::space(directory, error);
  if (error || space.capacity == 0) {
    return {Level::kOk, std::move(check), "not known yet: " + directory + " is not there", {}};
  }
  auto free = static_cast<double>(space.available) / static_cast<double>(space.capacity);
  std::string text = fmt::format("{:.0f} % free for {} in {}", free * 100, what, directory);
  if (free >= kSpaceNear) return {Level::kOk, std::move(check), std::move(text), {}};
  return {free < kSpaceShort ? Level::kFailure : Level::kWarning, std::move(check), std::move(text),
          "make room on that file system, or move the directory"};
}

}  // namespace dispatch
