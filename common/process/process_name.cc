#include "common/process/process_name.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace dispatch {
namespace {

// The boot, the namespace of the number, the number, and when the kernel started it.
constexpr size_t kParts = 4;
constexpr char kSeparator = '_';
// In /proc/PID/stat behind the program's name, which may have blanks: proc(5), field 22.
constexpr int kStartField = 20;

std::string Boot() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return boot;
}

std::string Numbers() {
  std::error_code error;
  std::string link = std::filesystem::read_symlink("/proc/self/ns/pid", error);  // "pid:[4026]"
  std::string digits;
  for (char c : link) {
    if (c >= '0' && c <= '9') digits += c;
  }
  return digits;
}

/// When it was started, in ticks since the boot; empty when there is none of that number.
std::string StartOf(pid_t pid) {
  std::stringstream text;
  text << std::ifstream(fmt::format("/proc/{}/stat", pid)).rdbuf();
  std::string stat = text.str();
  size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int i = 0; i < kStartField; ++i) fields >> field;
  return field;
}

std::vector<std::string> Split(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream text(name);
  for (std::string part; std::getline(text, part, kSeparator);) parts.push_back(part);
  return parts;
}

}  // namespace

std::string ProcessName() {
  return fmt::format("{1}{0}{2}{0}{3}{0}{4}", kSeparator, Boot(), Numbers(), getpid(),
                     StartOf(getpid()));
}

bool MayLive(const std::string& name) {
  auto parts = Split(name);
  pid_t pid = 0;
  if (parts.size() == kParts) {
    std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), pid);
  }
  if (pid <= 0) return true;
  if (parts[0] != Boot()) return false;
  if (parts[1] != Numbers()) return true;
  return StartOf(pid) == parts[3];
}

}  // namespace dispatch
