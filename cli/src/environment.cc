#include "cli/src/environment.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

namespace {

std::optional<std::string> ReadPiped() {
  struct stat status{};
  bool brings = fstat(STDIN_FILENO, &status) == 0 &&
                (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode));
  if (!brings) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

// By the shell, as an editor may be said with arguments.
int RunEditor(const std::string& editor, const fs::path& file) {
  pid_t child = fork();
  if (child == 0) {
    std::string command = editor + " \"$1\"";
    execl("/bin/sh", "sh", "-c", command.c_str(), "sh", file.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

}  // namespace

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
  environment.piped = ReadPiped;
  environment.edit = RunEditor;
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
