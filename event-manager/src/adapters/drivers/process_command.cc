#include "event-manager/src/adapters/drivers/process_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>

#include "common/process/system_view.h"
#include "event-manager/src/adapters/drivers/driver_confinement.h"

namespace dispatch {

namespace {

constexpr char kBwrap[] = "/usr/bin/bwrap";
constexpr int64_t kTmpBytes = 64 * 1024 * 1024;
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
             "--perms",  "1777",     "--size",    std::to_string(kTmpBytes),
             "--tmpfs",  "/tmp",     "--perms",   "0755",
             "--dir",    "/drivers", "--ro-bind", settings.drivers_dir,
             "/drivers", "--chdir",  "/drivers",  "--remount-ro",
             "/",        "--"});
  return argv;
}

}  // namespace

std::string UpperSnake(const std::string& name) {
  std::string out;
  bool lower = false;
  for (unsigned char c : name) {
    if (std::isalnum(c) == 0) {
      out += '_';
      lower = false;
      continue;
    }
    if (std::isupper(c) != 0 && lower) out += '_';
    lower = std::islower(c) != 0 || std::isdigit(c) != 0;
    out += static_cast<char>(std::toupper(c));
  }
  return out;
}

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
  Add(spec.argv, {"/usr/bin/prlimit", "--core=0:0", "--nproc=512:512", "--nofile=1024:1024",
                  "--memlock=0:0", fmt::format("--data={0}:{0}", kDriverMemoryBytes), "--"});
  if (root) {
    std::string user = std::to_string(UserOf(setup.claimed.uuid));
    Add(spec.argv, {"/usr/bin/setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups",
                    "--inh-caps=-all", "--no-new-privs", "--"});
  }
  Add(spec.argv, {"/drivers/" + image});
  for (const auto& [key, value] : setup.config) {
    if (key == "topic") continue;  // ours
    spec.argv.push_back(value.empty() ? "--" + key : fmt::format("--{}={}", key, value));
  }
  spec.argv.push_back(fmt::format("--dispatch-api-endpoint=127.0.0.1:{}", port));
  // What is ours comes last: a secret that has its name does not hide it.
  for (const auto& [name, value] : setup.secrets) {
    std::string variable = UpperSnake(name);
    bool taken = variable == "PATH" || variable == "AUTH_TOKEN" || variable.starts_with("LD_") ||
                 variable.starts_with("DISPATCH_");
    if (!taken) spec.env.push_back(fmt::format("{}={}", variable, value));
  }
  spec.env.insert(
      spec.env.end(),
      {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8",
       "AUTH_TOKEN=" + token, fmt::format("DISPATCH_ENDPOINT=http://127.0.0.1:{}/{}", port, token),
       fmt::format("DISPATCH_LISTENER_HTTP_PORT={}", port),
       "DISPATCH_ORGANIZATION=" + setup.claimed.org, "DISPATCH_DRIVER_NAME=" + setup.claimed.name,
       "DISPATCH_DRIVER_TYPE=" + json::GetString(setup.claimed.document, "type")});
  return spec;
}

}  // namespace dispatch
