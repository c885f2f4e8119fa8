#include "function-manager/src/runtime/internal/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "common/log.h"
#include "common/process/orphans.h"
#include "common/process/seccomp_filter.h"
#include "function-manager/src/runtime/internal/run_log.h"
#include "function-manager/src/runtime/internal/system_view.h"

namespace dispatch::runtime {
namespace {

constexpr int64_t kMiB = 1024 * 1024;
// Threads of node itself, which count as processes.
constexpr int kNodeThreads = 12;
// Those of a Java machine on two processors: collector, compilers, signals, timers.
constexpr int kJavaThreads = 24;
// Those of .NET: collector, compilers, thread pool.
constexpr int kPowershellThreads = 32;
// bwrap outside and inside, which are in the sandbox's control group.
constexpr int kWrapProcesses = 2;
constexpr int64_t kSharedMemoryBytes = kMiB;
constexpr int kProbeMillis = 10'000;
// Without cgroups a function's processes at least give way to everything else.
constexpr int kNice = 10;

int OwnThreads(const FunctionVersion& version) {
  if (version.language == "nodejs") return kNodeThreads;
  if (version.language == "powershell") return kPowershellThreads;
  return version.language == "java" ? kJavaThreads : 0;
}

/// Where pwsh is: its package has it in /opt, and a link to it.
std::string RealPath(const std::string& path) {
  std::error_code error;
  auto real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

Sandbox::Sandbox(const ProcessRunnerOptions& options)
    : options_(options),
      root_(geteuid() == 0),
      egress_(options.network),
      cgroups_("dispatch-functions"),
      filter_closed_(SeccompProgram(false)),
      filter_network_(SeccompProgram(true)) {
  KillOrphanedSandboxes();
}

void Sandbox::Tidy() {
  KillOrphanedSandboxes();
  cgroups_.Tidy();
}

std::string Sandbox::Describe() const {
  auto how = [](bool cgroup, const char* otherwise) { return cgroup ? "cgroup" : otherwise; };
  return fmt::format("sandbox={} user={} proc={} memory={} cpu={} processes={}",
                     options_.sandbox ? "bubblewrap" : "off",
                     options_.sandbox && root_ ? "own" : "service", proc_,
                     how(cgroups_.memory(), "rlimit-of-each-process"), how(cgroups_.cpu(), "nice"),
                     how(cgroups_.processes(), "rlimit"));
}

std::vector<std::string> Sandbox::Command(const FunctionVersion& version, bool sandboxed) const {
  std::string runtime = sandboxed ? "/runtime" : options_.runtimes_dir + "/" + version.language;
  std::string source = sandboxed ? "/function" : version.source;
  std::string image = version.image.empty() ? "" : sandboxed ? "/image" : version.image;
  std::vector<std::string> command;
  if (version.language == "nodejs") {
    int64_t heap = std::max<int64_t>(version.memory_bytes * 3 / 4 / kMiB, 16);
    command = {options_.node, fmt::format("--max-old-space-size={}", heap), runtime + "/worker.js"};
  } else if (version.language == "java") {
    int64_t heap = std::max<int64_t>(version.memory_bytes / 2 / kMiB, 16);
    command = {options_.java,
               fmt::format("-Xmx{}m", heap),
               "-Xss512k",
               "-XX:+UseSerialGC",
               "-XX:-UsePerfData",
               "-XX:+ExitOnOutOfMemoryError",
               "--add-opens=java.base/java.io=ALL-UNNAMED",
               "-cp",
               runtime,
               "Worker"};
  } else if (version.language == "powershell") {
    command = {RealPath(options_.pwsh), "-NoLogo", "-NoProfile",
               "-NonInteractive",       "-File",   runtime + "/worker.ps1"};
  } else {  // the one of executables is written in Python too
    command = {options_.python, "-I", "-B", runtime + "/worker.py"};
  }
  command.insert(command.end(), {source, image, version.handler});
  return command;
}

std::vector<std::string> Sandbox::Limits(const FunctionVersion& version, int slot) const {
  bool own_heap = version.language == "nodejs" || version.language == "java" ||
                  version.language == "powershell";
  int64_t memory = version.memory_bytes;
  // V8, Java and .NET keep more than their heap; the heap itself is bounded by their own option.
  if (own_heap) memory = memory * 2 + 256 * kMiB;
  int processes = version.processes + std::max(OwnThreads(version), 1);
  std::vector<std::string> command = {"/usr/bin/prlimit",
                                      "--core=0:0",
                                      fmt::format("--nproc={0}:{0}", processes),
                                      fmt::format("--fsize={0}:{0}", version.file_bytes),
                                      "--nofile=1024:1024",
                                      "--memlock=0:0",
                                      "--msgqueue=0:0",
                                      fmt::format("--data={0}:{0}", memory)};
  // Shared mappings count in no other limit. They reserve addresses by the gigabyte.
  if (!own_heap && !cgroups_.memory()) {
    command.push_back(fmt::format("--as={0}:{0}", memory + 256 * kMiB));
  }
  command.push_back("--");
  if (options_.sandbox && root_) {
    std::string uid = std::to_string(options_.first_uid + static_cast<uint32_t>(slot));
    command.insert(command.end(), {"/usr/bin/setpriv", "--reuid=" + uid, "--regid=" + uid,
                                   "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--"});
  } else if (options_.sandbox && version.network) {  // what the helper of the network needed
    command.insert(command.end(), {"/usr/bin/setpriv", "--inh-caps=-all", "--ambient-caps=-all",
                                   "--securebits=+noroot,+noroot_locked", "--no-new-privs", "--"});
  }
  return command;
}

std::vector<std::string> Sandbox::View(const FunctionVersion& version) const {
  std::vector<std::string> view = FunctionView(options_.runtimes_dir, version.network);
  if (proc_) view.insert(view.end(), {"--proc", "/proc"});
  view.insert(view.end(),
              {"--dev", "/dev", "--perms", "1777", "--size", std::to_string(kSharedMemoryBytes),
               "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--perms", "1777", "--size",
               std::to_string(version.file_bytes), "--tmpfs", "/tmp"});
  if (!version.language.empty()) {
    view.insert(view.end(),
                {"--ro-bind", options_.runtimes_dir + "/" + version.language, "/runtime",
                 "--ro-bind", version.source, "/function", "--chdir", "/function"});
  }
  if (version.language == "powershell") {
    std::string home = std::filesystem::path(RealPath(options_.pwsh)).parent_path();
    if (!home.starts_with("/usr")) view.insert(view.end(), {"--ro-bind", home, home});
  }
  if (!version.image.empty()) view.insert(view.end(), {"--ro-bind", version.image, "/image"});
  view.insert(view.end(), {"--remount-ro", "/"});
  return view;
}

Result<Launch> Sandbox::Wrap(const FunctionVersion& version, int slot,
                             std::vector<std::string> command) {
  Launch launch;
  launch.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8"};
  if (version.language == "powershell") {
    // No double mapping of code, which takes shared memory; no sockets for debuggers.
    launch.env.insert(launch.env.end(),
                      {"DOTNET_EnableWriteXorExecute=0", "DOTNET_EnableDiagnostics=0",
                       fmt::format("DOTNET_GCHeapHardLimit={:x}", version.memory_bytes / 2),
                       "POWERSHELL_TELEMETRY_OPTOUT=1", "POWERSHELL_UPDATECHECK=Off"});
  }
  if (!cgroups_.cpu()) launch.nice = kNice;
  CgroupLimits limits{
      .memory_bytes = version.memory_bytes + version.file_bytes,
      .cpu_millis = version.cpu_millis,
      .processes = version.processes + kWrapProcesses + std::max(OwnThreads(version), 1)};
  ASSIGN_OR_RETURN(launch.cgroup, cgroups_.Make(limits));
  ASSIGN_OR_RETURN(launch.cgroup_entries, launch.cgroup->Entries());
  auto add = [&](const std::vector<std::string>& more) {
    launch.argv.insert(launch.argv.end(), more.begin(), more.end());
  };
  if (options_.sandbox) {
    const auto& filter = version.network ? filter_network_ : filter_closed_;
    if (!filter.ok()) return filter.error();
    ASSIGN_OR_RETURN(launch.filter, SeccompFile(*filter));
    launch.name = SandboxName();
    add({options_.bwrap, "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid",
         "--unshare-uts", "--unshare-net", "--unshare-cgroup-try", "--hostname", "function",
         "--cap-drop", "ALL", "--seccomp", std::to_string(kFilterFd)});
    if (version.network) add({"--cap-add", "CAP_NET_ADMIN", "--cap-add", "CAP_NET_BIND_SERVICE"});
    if (root_) {
      add({"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"});  // until setpriv
    } else if (version.network) {
      // As another than 0, bubblewrap would nest namespaces, and the helper not own the network's.
      add({"--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SETPCAP"});
    } else {
      add({"--unshare-user", "--uid", "65534", "--gid", "65534"});
    }
    add(View(version));
    add({"--"});
    if (version.network) {
      ASSIGN_OR_RETURN(launch.gate, egress_.Open());
      add(egress_.Command(options_.python, kGateFd));
    }
  }
  add(Limits(version, slot));
  add(command);
  return launch;
}

Result<Launch> Sandbox::Prepare(const FunctionVersion& version, int slot) {
  const std::string* program = version.language == "nodejs"       ? &options_.node
                               : version.language == "java"       ? &options_.java
                               : version.language == "powershell" ? &options_.pwsh
                               : version.language == "python3" || version.language == "binary"
                                   ? &options_.python
                                   : nullptr;
  if (program == nullptr) {
    return {Code::kUnprocessable,
            "functions of the language '" + version.language +
                "' cannot be run here: python3, nodejs, java, powershell and binary can"};
  }
  if (!Exists(*program)) {
    return {Code::kUnavailable,
            fmt::format("functions of the language {} need {}, which is not there: "
                        "install it",
                        version.language, *program)};
  }
  if (version.language == "java" && !Exists(options_.runtimes_dir + "/java/Worker.class")) {
    return {Code::kUnavailable, "the worker of java is not compiled in " + options_.runtimes_dir +
                                    "/java: javac was not there when Dispatch was built"};
  }
  return Wrap(version, slot, Command(version, options_.sandbox));
}

Status Sandbox::Probe() {
  if (!options_.sandbox) return OkStatus();
  if (!Exists(options_.bwrap)) {
    return {Code::kUnavailable, "functions need bubblewrap, and " + options_.bwrap +
                                    " is not there: install the package bubblewrap, or, for "
                                    "development only, start with --sandbox=off"};
  }
  // Control groups that can be made but not used are as good as none.
  if (Status status = Try(); !status.ok()) {
    cgroups_.Forget();
    if (Try().ok()) {
      log::Warning("functions run without control groups reason=\"{}\"", status.message());
      return OkStatus();
    }
    proc_ = false;  // as in containers that hide parts of theirs
    if (!Try().ok()) return status;
  }
  return OkStatus();
}

Status Sandbox::Try() {
  auto launch = Wrap(FunctionVersion{}, 0, {"/usr/bin/true"});
  if (!launch.ok()) return launch.status();
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return {Code::kUnavailable, "too many open files"};
  Fd read_end(pipe[0]);
  Fd write_end(pipe[1]);
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  SpawnSpec spec{.argv = launch->argv,
                 .name = launch->name,
                 .env = launch->env,
                 .fds = {null.get(), null.get(), write_end.get(), null.get(), launch->filter.get()},
                 .cgroups = {},
                 .nice = 0};
  for (const auto& entry : launch->cgroup_entries) spec.cgroups.push_back(entry.get());
  auto pid = Spawn(spec);
  if (!pid.ok()) return pid.status();
  write_end.Reset();
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
  pollfd wait{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  bool late = poll(&wait, 1, kProbeMillis) != 1;
  if (late) kill(-*pid, SIGKILL);
  int status = 0;
  waitpid(*pid, &status, 0);
  (void)launch->cgroup->Await();
  if (!late && WIFEXITED(status) && WEXITSTATUS(status) == 0) return OkStatus();
  char text[1024];
  ssize_t size = late ? 0 : read(read_end.get(), text, sizeof(text));
  std::string reason = "it does not end";
  if (!late) reason = ValidUtf8({text, static_cast<size_t>(std::max<ssize_t>(size, 0))});
  while (reason.ends_with('\n')) reason.pop_back();
  if (reason.empty()) reason = "it says not why";
  return {Code::kUnavailable,
          "functions cannot run: bubblewrap makes no sandbox on this machine (" + reason +
              "): allow it (root, or user namespaces for this user), or, for development only, "
              "start with --sandbox=off"};
}

}  // namespace dispatch::runtime
