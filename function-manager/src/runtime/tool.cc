#include "function-manager/src/runtime/tool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>

#include "common/log.h"
#include "common/process/cgroups.h"
#include "common/process/orphans.h"
#include "common/process/seccomp_filter.h"
#include "common/process/spawn.h"
#include "function-manager/src/runtime/internal/egress.h"
#include "function-manager/src/runtime/internal/run_log.h"
#include "function-manager/src/runtime/internal/system_view.h"

namespace dispatch {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

using runtime::Egress;

constexpr int64_t kMiB = 1024 * 1024;
constexpr int64_t kTmpBytes = 64 * kMiB;
constexpr int kInfoFd = 3;
constexpr int kFilterFd = 4;
constexpr int kGateFd = 5;
constexpr int kWrapProcesses = 2;
constexpr int kNice = 10;
constexpr int kCpuMillis = 1000;
constexpr int kLookMs = 100;
constexpr auto kWalkEvery = std::chrono::seconds(2);
constexpr auto kGoneWait = std::chrono::seconds(10);
constexpr auto kTellEvery = std::chrono::seconds(1);
constexpr size_t kMostFiles = 300'000;

Fd PidFd(pid_t pid) { return Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool ReadableWithin(int fd, std::chrono::milliseconds time) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  auto until = Clock::now() + time;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    int ready = poll(&wait, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

/// All below a directory, without following links; false: `visit` said so, or it cannot be walked.
template <typename Visit>
bool Walk(const fs::path& directory, Visit visit) {
  std::error_code error;
  fs::recursive_directory_iterator at(directory, error);
  for (fs::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    struct stat status{};
    if (lstat(at->path().c_str(), &status) != 0) continue;  // gone meanwhile
    if (!visit(at->path(), status)) return false;
  }
  return !error;
}

/// How much a directory grows, looked at seldom unless the file system fills.
class DiskGuard {
 public:
  DiskGuard(const std::string& directory, int64_t most)
      : directory_(directory), most_(most), free_(Free()), walked_(Clock::now()) {}

  bool Exceeded() {
    int64_t used = free_ - Free();
    if (used < most_ / 2 && Clock::now() - walked_ < kWalkEvery) return false;
    bool exceeded = Over();
    walked_ = Clock::now();
    if (!exceeded) free_ = std::min(free_, Free() + most_ / 4);  // it is others who fill it
    return exceeded;
  }
  bool Over() const {
    int64_t bytes = 0;
    size_t files = 0;
    (void)Walk(directory_, [&](const fs::path&, const struct stat& status) {
      bytes += status.st_blocks * 512;
      return bytes <= most_ && ++files <= kMostFiles;
    });
    return bytes > most_ || files > kMostFiles;
  }

 private:
  int64_t Free() const {
    struct statvfs status{};
    if (statvfs(directory_.c_str(), &status) != 0) return 0;
    return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
  }

  const std::string directory_;
  const int64_t most_;
  int64_t free_;
  Clock::time_point walked_;
};

/// Requires that nobody else can write there any more.
Status TakeOver(const std::string& directory) {
  bool whole = Walk(directory, [](const fs::path& path, const struct stat& status) {
    if (S_ISLNK(status.st_mode)) return lchown(path.c_str(), geteuid(), getegid()) == 0;
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return unlink(path.c_str()) == 0;
    bool runs = S_ISDIR(status.st_mode) || (status.st_mode & 0111) != 0;
    return lchown(path.c_str(), geteuid(), getegid()) == 0 &&
           chmod(path.c_str(), runs ? 0755 : 0644) == 0;
  });
  if (!whole || lchown(directory.c_str(), geteuid(), getegid()) != 0) {
    return {Code::kUnprocessable, "what was installed cannot be kept: its files cannot be walked"};
  }
  return OkStatus();
}

/// The first process inside, of bubblewrap's {"child-pid": N}.
pid_t ChildPid(int info) {
  std::string text;
  std::array<char, 256> buffer;
  while (ReadableWithin(info, kGoneWait)) {
    ssize_t size = read(info, buffer.data(), buffer.size());
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(size));
    if (text.find('}') != std::string::npos) break;
  }
  size_t colon = text.find(':');
  return colon == std::string::npos ? 0 : std::atoi(text.c_str() + colon + 1);
}

std::string Trimmed(std::string said, size_t most) {
  if (said.size() > most) said.erase(0, said.size() - most);
  while (!said.empty() && std::isspace(static_cast<unsigned char>(said.back())) != 0) {
    said.pop_back();
  }
  return runtime::ValidUtf8(said);
}

// The last `most` bytes, from the begin of a line on. `cut`: the first line is none already.
std::string LastLines(std::string_view said, size_t most, bool cut) {
  if (said.size() > most) {
    said.remove_prefix(said.size() - most);
    cut = true;
  }
  size_t end = said.find('\n');
  if (cut && end != std::string_view::npos) said.remove_prefix(end + 1);
  return Trimmed(std::string(said), most);
}

}  // namespace

bool IsForTools(std::string_view entry) {
  for (std::string_view prefix :
       {"LANG=", "LC_", "PIP_", "NPM_CONFIG_", "npm_config_", "MAVEN_", "JAVA_HOME=", "SSL_CERT_",
        "NODE_EXTRA_CA_CERTS=", "REQUESTS_CA_BUNDLE=", "http_proxy=", "https_proxy=", "no_proxy=",
        "HTTP_PROXY=", "HTTPS_PROXY=", "NO_PROXY="}) {
    if (entry.starts_with(prefix)) return true;
  }
  return false;
}

std::string FindTool(const std::string& name) {
  for (const char* directory : {"/usr/local/bin", "/usr/bin", "/usr/sbin"}) {
    std::string file = fmt::format("{}/{}", directory, name);
    std::error_code error;
    if (fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

class Tools::Impl {
 public:
  explicit Impl(ToolOptions options)
      : options_(std::move(options)), egress_(options_.network), cgroups_("dispatch-functions") {}

  Status Run(const ToolRun& run);

 private:
  /// What one run has: a number for its user, and what is to be cleaned up.
  struct Process {
    pid_t pid = -1;
    Fd end;     // bwrap's
    Fd inside;  // of the sandbox's first process, with whose end all are gone
    Fd output;
    std::unique_ptr<Cgroup> cgroup;
    std::unique_ptr<Egress::Gate> gate;
    std::string fault;  // why it was ended
    std::string said;   // its end
    size_t heard = 0;   // bytes in all
    size_t told = 0;    // of those, to ToolRun::heard
    Clock::time_point told_at = Clock::now();
  };

  int TakeSlot() {
    std::lock_guard lock(mutex_);
    int slot = 0;
    while (!slots_.insert(slot).second) ++slot;
    return slot;
  }
  void FreeSlot(int slot) {
    std::lock_guard lock(mutex_);
    slots_.erase(slot);
  }
  std::unique_ptr<Cgroup> MakeCgroup(const ToolRun& run) {
    std::lock_guard lock(mutex_);
    auto cgroup = cgroups_.Make({.memory_bytes = run.memory_bytes,
                                 .cpu_millis = kCpuMillis,
                                 .processes = run.processes + kWrapProcesses});
    if (cgroup.ok()) return std::move(*cgroup);
    log::Warning("tools run without control groups reason=\"{}\"", cgroup.message());
    cgroups_.Forget();
    return std::make_unique<Cgroup>(std::vector<std::string>{});
  }

  std::vector<std::string> Words(const ToolRun& run, int slot) const;
  std::vector<std::string> Environment(const ToolRun& run) const;
  Result<Process> Start(const ToolRun& run, int slot);
  void Attend(const ToolRun& run, Process& process);
  static void Tell(const ToolRun& run, Process& process, bool ended);
  static bool End(Process& process, int& state);
  Status Verdict(const ToolRun& run, const Process& process, int state) const;

  const ToolOptions options_;
  const bool root_ = geteuid() == 0;
  Egress egress_;
  std::mutex mutex_;
  Cgroups cgroups_;
  std::set<int> slots_;
};

std::vector<std::string> Tools::Impl::Words(const ToolRun& run, int slot) const {
  std::vector<std::string> words = {options_.bwrap,  "--die-with-parent",
                                    "--new-session", "--unshare-ipc",
                                    "--unshare-pid", "--unshare-uts",
                                    "--unshare-net", "--unshare-cgroup-try",
                                    "--hostname",    "build",
                                    "--cap-drop",    "ALL",
                                    "--cap-add",     "CAP_NET_ADMIN",
                                    "--cap-add",     "CAP_NET_BIND_SERVICE",
                                    "--seccomp",     std::to_string(kFilterFd),
                                    "--info-fd",     std::to_string(kInfoFd)};
  auto add = [&](const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
  };
  if (root_) {
    add({"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"});  // until setpriv
  } else {
    // As another than 0, bubblewrap would nest namespaces, and the helper not own the network's.
    add({"--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SETPCAP"});
  }
  add(runtime::FunctionView(options_.runtimes_dir, true));
  for (const char* file :
       {"/etc/pip.conf", "/etc/npmrc", "/etc/maven", "/etc/pki", "/etc/passwd"}) {
    add({"--ro-bind-try", file, file});
  }
  add({"--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", std::to_string(kTmpBytes),
       "--tmpfs", "/tmp", "--bind", run.directory, "/build", "--chdir", "/build", "--remount-ro",
       "/", "--"});
  add(egress_.Command(options_.python, kGateFd));
  add({"/usr/bin/prlimit", "--core=0:0", fmt::format("--nproc={0}:{0}", run.processes),
       fmt::format("--fsize={0}:{0}", run.disk_bytes), "--nofile=4096:4096", "--memlock=0:0",
       "--msgqueue=0:0", fmt::format("--data={0}:{0}", run.memory_bytes), "--",
       "/usr/bin/setpriv"});
  if (root_) {
    std::string uid = std::to_string(options_.first_uid + static_cast<uint32_t>(slot));
    add({"--reuid=" + uid, "--regid=" + uid, "--clear-groups"});
  } else {
    add({"--securebits=+noroot,+noroot_locked"});
  }
  add({"--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"});
  add(run.words);
  return words;
}

std::vector<std::string> Tools::Impl::Environment(const ToolRun& run) const {
  std::vector<std::string> environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
                                          "HOME=/tmp", "TMPDIR=/tmp"};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (IsForTools(*entry)) environment.emplace_back(*entry);
  }
  environment.insert(environment.end(), run.environment.begin(), run.environment.end());
  return environment;
}

Result<Tools::Impl::Process> Tools::Impl::Start(const ToolRun& run, int slot) {
  Process process;
  process.cgroup = MakeCgroup(run);
  ASSIGN_OR_RETURN(auto entries, process.cgroup->Entries());
  ASSIGN_OR_RETURN(process.gate, egress_.Open());
  ASSIGN_OR_RETURN(std::string program, SeccompProgram(true));
  ASSIGN_OR_RETURN(Fd filter, SeccompFile(program));
  int output[2];
  int info[2];
  if (pipe2(output, O_CLOEXEC) != 0) return Error{Code::kUnavailable, "too many open files", true};
  process.output = Fd(output[0]);
  Fd said(output[1]);
  if (pipe2(info, O_CLOEXEC) != 0) return Error{Code::kUnavailable, "too many open files", true};
  Fd info_read(info[0]);
  Fd info_write(info[1]);
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  SpawnSpec spec{.argv = Words(run, slot),
                 .name = SandboxName(),
                 .env = Environment(run),
                 .fds = {null.get(), said.get(), said.get(), info_write.get(), filter.get(),
                         process.gate->helper.get()},
                 .cgroups = {},
                 .nice = kNice};
  for (const auto& entry : entries) spec.cgroups.push_back(entry.get());
  auto spawned = Spawn(spec);
  if (!spawned.ok() && !spec.cgroups.empty()) {  // control groups that cannot be entered
    spec.cgroups.clear();
    spawned = Spawn(spec);
  }
  if (!spawned.ok()) return spawned.status();
  process.pid = *spawned;
  process.end = PidFd(process.pid);
  info_write.Reset();
  if (pid_t inside = ChildPid(info_read.get()); inside > 0) process.inside = PidFd(inside);
  process.gate->helper.Reset();
  return process;
}

// Hears what it says until it ends or has to be ended.
void Tools::Impl::Attend(const ToolRun& run, Process& process) {
  DiskGuard disk(run.directory, run.disk_bytes);
  auto deadline = Clock::now() + run.limit;
  std::array<char, 16 * 1024> buffer;
  bool closed = false;
  for (bool ended = false;;) {
    for (int i = 0; i < 16 && !closed; ++i) {
      ssize_t size = read(process.output.get(), buffer.data(), buffer.size());
      if (size < 0) break;
      closed = size == 0;
      process.said.append(buffer.data(), static_cast<size_t>(size));
      process.heard += static_cast<size_t>(size);
      if (process.said.size() > 2 * run.output) {
        process.said.erase(0, process.said.size() - run.output);
      }
    }
    if (ended) return;
    if (Clock::now() - process.told_at >= kTellEvery) Tell(run, process, false);
    if (Clock::now() >= deadline) {
      process.fault = fmt::format("took longer than {} s", run.limit.count());
    } else if (run.stop != nullptr && run.stop->load()) {
      process.fault = "was ended with the service";
    } else if (disk.Exceeded()) {
      process.fault =
          fmt::format("wrote more than {} MB, or {} files", run.disk_bytes / kMiB, kMostFiles);
    }
    if (!process.fault.empty()) return;
    pollfd waits[2] = {{.fd = process.end.get(), .events = POLLIN, .revents = 0},
                       {.fd = closed ? -1 : process.output.get(), .events = POLLIN, .revents = 0}};
    (void)poll(waits, 2, kLookMs);
    ended = waits[0].revents != 0;
  }
}

void Tools::Impl::Tell(const ToolRun& run, Process& process, bool ended) {
  process.told_at = Clock::now();
  if (run.heard == nullptr || process.told == process.heard) return;
  std::string_view said = process.said;
  if (!ended) said = said.substr(0, said.rfind('\n') + 1);
  if (said.empty()) return;
  process.told = process.heard;
  run.heard(LastLines(said, run.output, process.heard > process.said.size()));
}

// True: all of its processes are gone.
bool Tools::Impl::End(Process& process, int& state) {
  if (!process.fault.empty()) kill(-process.pid, SIGKILL);
  while (waitpid(process.pid, &state, 0) < 0 && errno == EINTR) {
  }
  return !process.inside || ReadableWithin(process.inside.get(), kGoneWait);
}

Status Tools::Impl::Verdict(const ToolRun& run, const Process& process, int state) const {
  std::string tool = fs::path(run.words[0]).filename();
  std::string said = Trimmed(process.said, run.output);
  if (run.stop != nullptr && run.stop->load()) {
    return Error{Code::kUnavailable, tool + " " + process.fault, true};
  }
  if (!process.fault.empty()) {
    return Error{Code::kUnprocessable, fmt::format("{} {}: {}", tool, process.fault, said)};
  }
  if (process.cgroup->OutOfMemory()) {
    return Error{Code::kUnprocessable, fmt::format("{} used more memory than {} MB: {}", tool,
                                                   run.memory_bytes / kMiB, said)};
  }
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  if (said.starts_with("bwrap: ") || said.starts_with("no way to the network: ")) {
    return Error{Code::kUnavailable, fmt::format("{} cannot be run here: {}", tool, said)};
  }
  return Error{Code::kUnprocessable, fmt::format("{} failed: {}", tool, said)};
}

Status Tools::Impl::Run(const ToolRun& run) {
  if (access(options_.bwrap.c_str(), X_OK) != 0) {
    return Error{Code::kUnavailable,
                 "bubblewrap (bwrap) is not installed on this machine: dependencies are installed "
                 "in a sandbox only"};
  }
  int slot = TakeSlot();
  struct Free {
    std::function<void()> run;
    ~Free() { run(); }
  } free{[&] { FreeSlot(slot); }};
  if (root_) {
    uid_t user = options_.first_uid + static_cast<uint32_t>(slot);
    auto give = [&](const fs::path& path) { return lchown(path.c_str(), user, user) == 0; };
    bool given = give(run.directory) && chmod(run.directory.c_str(), 0755) == 0 &&
                 Walk(run.directory, [&](const fs::path& p, const auto&) { return give(p); });
    if (!given) return Error{Code::kUnavailable, "cannot give away " + run.directory};
  }
  auto process = Start(run, slot);
  if (!process.ok()) return process.status();
  Attend(run, *process);
  Tell(run, *process, true);
  int state = 0;
  bool gone = End(*process, state);
  (void)process->cgroup->Await();
  if (!gone) return Error{Code::kUnavailable, "a tool's processes do not end", true};
  Status verdict = Verdict(run, *process, state);
  RETURN_IF_ERROR(verdict);
  if (DiskGuard(run.directory, run.disk_bytes).Over()) {
    return Error{Code::kUnprocessable,
                 fmt::format("what was installed takes more than {} MB, or {} files",
                             run.disk_bytes / kMiB, kMostFiles)};
  }
  return TakeOver(run.directory);
}

Tools::Tools(ToolOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Tools::~Tools() = default;

Status Tools::Run(const ToolRun& run) { return impl_->Run(run); }

}  // namespace dispatch
