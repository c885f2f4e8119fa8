#include "common/log.h"

#include <glog/logging.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>

#include "common/check.h"
#include "common/clock.h"
#include "common/internal/time_text.h"
#include "common/json.h"

namespace dispatch {

namespace log {

namespace {

struct Settings {
  std::string service = "dispatch";
  Format format = Format::kText;
};

Settings& Current() {
  static Settings settings;
  return settings;
}

// A line is one fact: what came from outside must not start a second one.
void EscapeControls(std::string& text) {
  size_t bad = text.find_first_of(std::string_view("\n\r\0\x1b", 4));
  if (bad == std::string::npos) return;
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\0' || c == '\x1b') {
      out += '?';
    } else {
      out += c;
    }
  }
  text = std::move(out);
}

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kInfo:
      return "INFO";
    case Level::kWarning:
      return "WARN";
    case Level::kError:
      return "ERROR";
  }
  return "INFO";
}

}  // namespace

void Init(std::string_view service, Format format) {
  Current() = {std::string(service), format};
  FLAGS_logtostderr = true;
  FLAGS_log_prefix = false;
  FLAGS_stop_logging_if_full_disk = true;
  if (!google::IsGoogleLoggingInitialized()) {
    // glog keeps the pointer.
    static std::string name;
    name = service;
    google::InitGoogleLogging(name.c_str());
  }
}

void Write(Level level, std::string message) {
  const Settings& settings = Current();
  std::string now = internal::FormatRfc3339(SystemClock().Now());
  std::string line;
  if (settings.format == Format::kJson) {
    line = json::Serialize(json::object{{"time", now},
                                        {"level", LevelName(level)},
                                        {"service", settings.service},
                                        {"message", message}});
  } else {
    EscapeControls(message);
    line = fmt::format("{} {} {} {}", now, LevelName(level), settings.service, message);
  }
  google::LogSeverity severity = level == Level::kError     ? google::GLOG_ERROR
                                 : level == Level::kWarning ? google::GLOG_WARNING
                                                            : google::GLOG_INFO;
  // Before Init (unit tests) glog would add its own prefix and a warning.
  if (!google::IsGoogleLoggingInitialized()) {
    fmt::print(stderr, "{}\n", line);
    return;
  }
  google::LogMessage(__FILE__, __LINE__, severity).stream() << line;
}

bool Sometimes(std::string_view site, int per_second) {
  struct Window {
    std::atomic<int64_t> second{-1};
    std::atomic<int> count{0};
  };
  static std::mutex mutex;
  static auto* windows = new std::map<std::string, Window, std::less<>>();
  Window* window;
  {
    std::lock_guard lock(mutex);
    auto it = windows->find(site);
    if (it == windows->end()) it = windows->try_emplace(std::string(site)).first;
    window = &it->second;
  }
  int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().Steady().time_since_epoch())
          .count();
  if (window->second.exchange(second) != second) window->count = 0;
  return window->count.fetch_add(1) < per_second;
}

}  // namespace log

void CheckFailed(const char* condition, const char* file, int line) {
  log::Error("invariant broken condition=\"{}\" at={}:{}", condition, file, line);
  std::abort();
}

}  // namespace dispatch
