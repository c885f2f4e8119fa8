#include "function-manager/src/adapters/tool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace dispatch {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr rlim_t kMostFileBytes = rlim_t{2} << 30;

bool IsForTools(std::string_view variable) {
  for (std::string_view prefix :
       {"PATH=", "HOME=", "LANG=", "LC_", "PIP_", "NPM_CONFIG_", "npm_config_", "MAVEN_",
        "JAVA_HOME=", "SSL_CERT_", "NODE_EXTRA_CA_CERTS=", "REQUESTS_CA_BUNDLE=", "http_proxy=",
        "https_proxy=", "no_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY=", "PYENV_"}) {
    if (variable.starts_with(prefix)) return true;
  }
  return false;
}

std::vector<std::string> Sandboxed(const std::string& bubblewrap, const ToolRun& run) {
  std::vector<std::string> words = {bubblewrap, "--ro-bind", "/", "/", "--tmpfs", "/tmp"};
  for (const std::string& directory : run.hidden) {
    words.insert(words.end(), {"--tmpfs", directory});
  }
  words.insert(words.end(), {"--bind", run.directory, run.directory, "--dev", "/dev", "--proc",
                             "/proc", "--unshare-pid", "--unshare-ipc", "--die-with-parent",
                             "--new-session", "--chdir", run.directory, "--"});
  words.insert(words.end(), run.words.begin(), run.words.end());
  return words;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Only calls that are safe between fork and exec of a process with threads.
[[noreturn]] void Become(char* const* words, char* const* environment, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(output, 1);
  dup2(output, 2);
  rlimit files{kMostFileBytes, kMostFileBytes};
  setrlimit(RLIMIT_FSIZE, &files);
  rlimit cores{0, 0};
  setrlimit(RLIMIT_CORE, &cores);
  execve(words[0], words, environment);
  _exit(127);
}

constexpr int kLookMs = 200;

// What it says until it ends or the time is over; false: it is over.
bool Listen(int fd, Clock::time_point deadline, const ToolRun& run, std::string& said) {
  const size_t most = run.output;
  std::array<char, 4096> buffer;
  for (;;) {
    if (Clock::now() >= deadline || (run.stop != nullptr && run.stop->load())) return false;
    pollfd readable{fd, POLLIN, 0};
    int ready = poll(&readable, 1, kLookMs);
    if (ready < 0 && errno != EINTR) return true;
    if (ready <= 0) continue;
    ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count <= 0) return true;
    said.append(buffer.data(), static_cast<size_t>(count));
    if (said.size() > 2 * most) said.erase(0, said.size() - most);
  }
}

}  // namespace

std::string FindTool(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    std::string_view directory = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), directory.size() + 1));
    std::string file = fmt::format("{}/{}", directory, name);
    std::error_code error;
    if (!directory.empty() && fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0) {
      return file;
    }
  }
  return "";
}

Status RunTool(const ToolRun& run) {
  std::string bubblewrap = FindTool("bwrap");
  if (bubblewrap.empty()) {
    return Error{Code::kUnavailable,
                 "bubblewrap (bwrap) is not installed on this machine: dependencies are installed "
                 "in a sandbox only"};
  }
  auto words = Sandboxed(bubblewrap, run);
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (IsForTools(*entry)) environment.emplace_back(*entry);
  }
  auto word_pointers = Pointers(words);
  auto environment_pointers = Pointers(environment);
  std::array<int, 2> pipe_fds{};
  if (pipe2(pipe_fds.data(), O_CLOEXEC) != 0) {
    return Error{Code::kUnavailable, fmt::format("no pipe: {}", std::strerror(errno)), true};
  }
  pid_t self = getpid();
  pid_t child = fork();
  if (child == 0) Become(word_pointers.data(), environment_pointers.data(), pipe_fds[1], self);
  close(pipe_fds[1]);
  if (child < 0) {
    close(pipe_fds[0]);
    return Error{Code::kUnavailable, fmt::format("no process: {}", std::strerror(errno)), true};
  }
  std::string said;
  bool ended = Listen(pipe_fds[0], Clock::now() + run.limit, run, said);
  if (!ended) kill(-child, SIGKILL);
  close(pipe_fds[0]);
  int state = 0;
  while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  if (said.size() > run.output) said.erase(0, said.size() - run.output);
  while (!said.empty() && std::isspace(static_cast<unsigned char>(said.back())) != 0) {
    said.pop_back();
  }
  std::string tool = fs::path(run.words[0]).filename();
  if (!ended && run.stop != nullptr && run.stop->load()) {
    return Error{Code::kUnavailable, tool + " was ended with the service", true};
  }
  if (!ended) {
    return Error{Code::kUnprocessable,
                 fmt::format("{} took longer than {} s: {}", tool, run.limit.count(), said)};
  }
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  return Error{Code::kUnprocessable, fmt::format("{} failed: {}", tool, said)};
}

}  // namespace dispatch
