#pragma once

#include <string>
#include <vector>

namespace dispatch::runtime {

/// bubblewrap's words for the system's part of every sandbox's files: /usr, its links, the files of
/// /etc that programs need to start; with `network` (and the helper of `runtimes_dir`) those of
/// names too.
std::vector<std::string> SystemView(const std::string& runtimes_dir, bool network);

}  // namespace dispatch::runtime
