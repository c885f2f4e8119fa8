#pragma once

#include <string>
#include <vector>

namespace dispatch::runtime {

/// bubblewrap's words for the system's files in a function's sandbox (SystemView); with `network`
/// (and the helper of `runtimes_dir`) those of names too.
std::vector<std::string> FunctionView(const std::string& runtimes_dir, bool network);

}  // namespace dispatch::runtime
