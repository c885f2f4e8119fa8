#include "function-manager/src/runtime/internal/system_view.h"

#include "common/process/system_view.h"

namespace dispatch::runtime {

std::vector<std::string> FunctionView(const std::string& runtimes_dir, bool network) {
  if (!network) return SystemView({});
  std::vector<std::string> view =
      SystemView({"/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/gai.conf"});
  view.insert(view.end(), {"--ro-bind", runtimes_dir + "/egress", "/egress", "--ro-bind",
                           runtimes_dir + "/egress/resolv.conf", "/etc/resolv.conf"});
  return view;
}

}  // namespace dispatch::runtime
