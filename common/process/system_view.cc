#include "common/process/system_view.h"

#include <filesystem>

namespace dispatch {

std::vector<std::string> SystemView(const std::vector<std::string>& more) {
  std::vector<std::string> view = {"--ro-bind", "/usr", "/usr"};
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib64", "/lib32"}) {
    std::error_code error;
    if (std::filesystem::is_symlink(name, error)) {
      view.insert(view.end(), {"--symlink", std::string("usr") + name, name});
    } else {
      view.insert(view.end(), {"--ro-bind-try", name, name});
    }
  }
  // bubblewrap's own would be for its user only, who as root is not the sandbox's.
  view.insert(view.end(),
              {"--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl"});
  std::vector<std::string> files = {"/etc/ssl/openssl.cnf", "/etc/ld.so.cache", "/etc/alternatives",
                                    "/etc/localtime", "/etc/ssl/certs"};
  files.insert(files.end(), more.begin(), more.end());
  // Where Debian keeps the settings of Java, to which it links from /usr.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/etc", error)) {
    std::string name = entry.path().filename();
    if (name.starts_with("java-")) files.push_back(entry.path());
  }
  for (const auto& file : files) view.insert(view.end(), {"--ro-bind-try", file, file});
  return view;
}

}  // namespace dispatch
