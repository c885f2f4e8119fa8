#pragma once

#include <string>
#include <string_view>

namespace dispatch {

/// Which build this is. Defined in a small file that the build writes anew when the commit changes
/// (cmake/Version.cmake): a commit costs one compilation and the links of the programs.
std::string_view BuildVersion();
/// The git commit, with "-dirty" when the sources had changes; empty when built without git.
std::string_view BuildCommit();
/// "0.1.0 (commit)", or without it.
std::string BuildText();

}  // namespace dispatch
