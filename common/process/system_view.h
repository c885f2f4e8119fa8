#pragma once

#include <string>
#include <vector>

namespace dispatch {

/// bubblewrap's words for the system's part of every sandbox's files: /usr, its links, the files of
/// /etc that programs need to start, and those of `files` that are there.
std::vector<std::string> SystemView(const std::vector<std::string>& files);

}  // namespace dispatch
