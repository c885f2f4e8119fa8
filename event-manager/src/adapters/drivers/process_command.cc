#include "event-manager/src/adapters/drivers/process_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/process/orphans.h"
#include "common/process/system_view.h"
#include "event-manager/src/adapters/drivers/driver_confinement.h"
#include "event-manager/src/adapters/drivers/driver_words.h"
#include "event-manager/src/domain/drivers/driver_limits.h"

namespace dispatch {

namespace {

constexpr char kBwrap[] = "/usr/bin/bwrap";
// Users that nobody else is: one a driver, above those of functions.
constexpr uint32_t kFirstUser = 400'000;
constexpr uint32_t kUsers = 60'000;

uint32_t UserOf(const Uuid& driver) {
  uint32_t low = 0;
  for (size_t i = 12; i < 16; ++i) low = low << 8 | driver.bytes[i];
  return kFirstUser + low % kUsers;
}

void Add(std::vector<std::string>& to, std::initializer_list<std::string> more) {
  to.insert(to.end(), more);
}

std::vector<std::string> Sandbox(const DriverSettings& settings, bool root) {
  std::vector<std::string> argv{kBwrap};
  Add(argv,
      {"--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid", "--unshare-uts",
       "--hostname", "driver", "--cap-drop", "ALL", "--seccomp", std::to_string(kDriverFilterFd)});
  if (root) {
    Add(argv, {"--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"});  // until setpriv
  } else {
    Add(argv, {"--unshare-user", "--uid", "65534", "--gid", "65534"});
  }
  for (auto& word :
       SystemView({"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services"})) {
    argv.push_back(std::move(word));
  }
  Add(argv, {"--dev",    "/dev",     "--proc",    "/proc",
             "--perms",  "1777",     "--size",    std::to_string(kDriverTmpBytes),
             "--tmpfs",  "/tmp",     "--perms",   "0755",
             "--dir",    "/drivers", "--ro-bind", settings.drivers_dir,
             "/drivers", "--chdir",  "/drivers",  "--remount-ro",
             "/",        "--"});
  return argv;
}

}  // namespace

Result<ChildSpec> DriverCommand(const DriverSettings& settings, const DriverSetup& setup,
                                uint16_t port, const std::string& token) {
  std::string image = json::GetString(setup.claimed.document, "image");
  if (settings.drivers_dir.empty()) {
    return {Code::kUnavailable, "executables are not run here: the setting drivers-dir is empty"};
  }
  if (access((settings.drivers_dir + "/" + image).c_str(), X_OK) != 0) {
    return {
        Code::kUnavailable,
        fmt::format("'{}' is no executable in the directory of the setting drivers-dir", image)};
  }
  if (access(kBwrap, X_OK) != 0) {
    return {Code::kUnavailable, "executables need bubblewrap: install the package bubblewrap"};
  }
  bool root = geteuid() == 0;
  ChildSpec spec;
  spec.argv = Sandbox(settings, root);
  spec.name = SandboxName();
  Add(spec.argv, {"/usr/bin/prlimit", "--core=0:0",
                  fmt::format("--nproc={0}:{0}", kDriverProcesses), "--nofile=1024:1024",
                  "--memlock=0:0", fmt::format("--data={0}:{0}", kDriverMemoryBytes), "--"});
  if (root) {
    std::string user = std::to_string(UserOf(setup.claimed.uuid));
    Add(spec.argv, {"/usr/bin/setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups",
                    "--inh-caps=-all", "--no-new-privs", "--"});
  }
  Add(spec.argv, {"/drivers/" + image});
  for (auto& word : DriverArguments(setup, port)) spec.argv.push_back(std::move(word));
  spec.env = DriverEnvironment(setup, port, token);
  spec.env.insert(spec.env.end(), {"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"});
  return spec;
}

}  // namespace dispatch
