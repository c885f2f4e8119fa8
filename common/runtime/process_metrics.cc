#include "common/runtime/internal/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "common/metrics.h"

namespace dispatch::internal {

namespace {

struct Stat {
  double cpu_seconds = 0;
  double threads = 0;
  double start_ticks = 0;
  double resident_bytes = 0;
};

// proc(5): the fields after the command's name, which may itself hold spaces and brackets.
Stat ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  size_t end = line.rfind(')');
  std::istringstream rest(end == line.npos ? std::string() : line.substr(end + 1));
  std::string state;
  rest >> state;
  double fields[22] = {};  // from field 4 on
  for (double& field : fields) rest >> field;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  Stat stat;
  stat.cpu_seconds = (fields[10] + fields[11]) / ticks;
  stat.threads = fields[16];
  stat.start_ticks = fields[18] / ticks;
  stat.resident_bytes = fields[20] * static_cast<double>(sysconf(_SC_PAGESIZE));
  return stat;
}

double CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -3;  // ".", ".." and the directory itself
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

double BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    double value = 0;
    if (word == "btime" && file >> value) return value;
  }
  return 0;
}

}  // namespace

ProcessMetrics::ProcessMetrics(const std::string& service, const std::string& version) {
  metrics::GetGauge("process_start_time_seconds", "When the process started, Unix time.")
      .Set(BootTime() + ReadStat().start_ticks);
  metrics::GetGauge("dispatch_build_info", "1; the labels say what runs.",
                    {{"service", service}, {"version", version}})
      .Set(1);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  metrics::GetGauge("process_max_fds", "Most files that may be open.")
      .Set(static_cast<double>(limit.rlim_cur));
}

void ProcessMetrics::Update() {
  Stat stat = ReadStat();
  metrics::GetGauge("process_resident_memory_bytes", "Resident memory.").Set(stat.resident_bytes);
  metrics::GetGauge("process_threads", "Threads.").Set(stat.threads);
  metrics::GetGauge("process_open_fds", "Open files.").Set(CountOpenFiles());
  metrics::GetCounter("process_cpu_seconds_total", "CPU time, user and system.")
      .Add(std::max(0.0, stat.cpu_seconds - cpu_seen_));
  cpu_seen_ = std::max(cpu_seen_, stat.cpu_seconds);
}

void RaiseOpenFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace dispatch::internal
