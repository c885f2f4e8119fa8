#include "event-manager/src/adapters/drivers/driver_log.h"

#include <fmt/format.h>

#include "schema/cloudevents_text.h"

namespace dispatch {

namespace {

constexpr Duration kGather = std::chrono::milliseconds(300);
constexpr size_t kMostLines = 100;  // each time
constexpr size_t kMaxLine = 4096;

}  // namespace

std::string StorableText(std::string text, size_t most) {
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
    text.resize(most);
  }
  if (text.find('\0') == text.npos && cloudevents::IsUtf8(text)) return text;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80 || c == '\0') c = '?';
  }
  return text;
}

DriverLog::~DriverLog() {
  loop_.Cancel(timer_);
  Flush();
}

void DriverLog::Add(const std::string& stream, std::string line) {
  if (lines_.size() >= kMostLines) {
    ++dropped_;
    return;
  }
  lines_.push_back({ToMillis(loop_.Now()), stream, StorableText(std::move(line), kMaxLine)});
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
