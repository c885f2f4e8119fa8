#include "cli/src/environment.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

namespace dispatch::cli {

namespace fs = std::filesystem;

Environment Environment::OfProcess() {
  Environment environment;
  environment.get = [](const std::string& name) -> std::optional<std::string> {
    const char* value = getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  std::error_code ignored;
  environment.directory = fs::current_path(ignored);
  environment.executable = fs::read_symlink("/proc/self/exe", ignored);
  environment.now = SystemClock().Now();
  environment.terminal = isatty(STDERR_FILENO) != 0;
  environment.sleep = [](Duration time) { std::this_thread::sleep_for(time); };
  return environment;
}

std::optional<std::string> Environment::Get(const std::string& name) const {
  auto value = get(name);
  if (value && value->empty()) return std::nullopt;
  return value;
}

std::optional<fs::path> Environment::FindUpwards(fs::path start, const fs::path& relative) {
  while (!start.empty()) {
    std::error_code ignored;
    if (fs::exists(start / relative, ignored)) return start / relative;
    if (start == start.root_path()) break;
    start = start.parent_path();
  }
  return std::nullopt;
}

Result<std::string> ReadFile(const std::string& path) {
  if (path == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (file.good() || (file.eof() && !file.bad())) return text;
  return Error{Code::kNotFound, fmt::format("cannot read {}: {}", path, strerror(errno))};
}

Status WritePrivateFile(const fs::path& path, std::string_view text) {
  auto failed = [&path] {
    return Error{Code::kInternal,
                 fmt::format("cannot write {}: {}", path.string(), strerror(errno))};
  };
  fs::path parent = path.parent_path();
  if (!parent.empty() && mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST) return failed();
  std::string draft = path.string() + ".XXXXXX";
  int fd = mkostemp(draft.data(), 0);  // mode 0600
  if (fd < 0) return failed();
  bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (close(fd) == 0 && written && rename(draft.c_str(), path.c_str()) == 0) return {};
  Error error = failed();
  unlink(draft.c_str());
  return error;
}

}  // namespace dispatch::cli
