#include "common/process/orphans.h"

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "common/log.h"
#include "common/process/process_name.h"

namespace dispatch {
namespace {

constexpr std::string_view kPrefix = "bwrap@";
// What is hit while it forks leaves a child that the next pass finds.
constexpr int kPasses = 100;
constexpr useconds_t kPassMicros = 2'000;

/// The first word of its command line; empty of a process that is gone or a zombie.
std::string FirstWord(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/cmdline");
  std::string word;
  std::getline(file, word, '\0');
  return word;
}

int KillOnce() {
  int killed = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    std::string number = entry.path().filename();
    pid_t pid = 0;
    std::from_chars(number.data(), number.data() + number.size(), pid);
    if (pid <= 0) continue;
    std::string word = FirstWord(number);
    if (!word.starts_with(kPrefix) || MayLive(word.substr(kPrefix.size()))) continue;
    if (kill(pid, SIGKILL) == 0) ++killed;
  }
  return killed;
}

}  // namespace

std::string SandboxName() {
  static const std::string name = std::string(kPrefix) + ProcessName();
  return name;
}

void KillOrphanedSandboxes() {
  for (int pass = 0; pass < kPasses; ++pass) {
    int killed = KillOnce();
    if (killed == 0) return;
    if (pass == 0) log::Info("ended sandboxes of a service that is gone processes={}", killed);
    usleep(kPassMicros);
  }
}

}  // namespace dispatch
