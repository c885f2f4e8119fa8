#include "event-manager/src/adapters/drivers/driver_log.h"

#include <fmt/format.h>

namespace dispatch {

namespace {

constexpr Duration kGather = std::chrono::milliseconds(300);
constexpr size_t kMostLines = 100;  // each time
constexpr size_t kMaxLine = 4096;

// PostgreSQL takes UTF-8 without zeros only.
std::string Clean(std::string line) {
  if (line.size() > kMaxLine) line.resize(kMaxLine);
  bool valid =
      line.find('\0') == std::string::npos && json::Parse(json::Serialize(json::value(line))).ok();
  if (valid) return line;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) >= 0x80 || c == '\0') c = '?';
  }
  return line;
}

}  // namespace

DriverLog::~DriverLog() {
  loop_.Cancel(timer_);
  Flush();
}

void DriverLog::Add(const std::string& stream, std::string line) {
  if (lines_.size() >= kMostLines) {
    ++dropped_;
    return;
  }
  lines_.push_back({ToMillis(loop_.Now()), stream, Clean(std::move(line))});
  if (timer_ != kNoTimer) return;
  timer_ = loop_.After(kGather, [this] {
    timer_ = kNoTimer;
    Flush();
  });
}

void DriverLog::Flush() {
  if (lines_.empty()) return;
  if (dropped_ > 0) {
    lines_.push_back({ToMillis(loop_.Now()), "driver",
                      fmt::format("{} lines left out: at most {} in {} ms are kept", dropped_,
                                  kMostLines, kGather.count() / 1000)});
  }
  dropped_ = 0;
  store_.AppendLog(driver_, epoch_, std::exchange(lines_, {}), [](const Status&) {});
}

}  // namespace dispatch
