#pragma once

#include <filesystem>
#include <string>

#include "common/result.h"

namespace dispatch::cli {

/// A file, or all of a directory, as tar.gz in base64: the same bytes for the same names, contents
/// and rights, so that sending it again changes nothing. A usage error for what is neither, for
/// links in it, and for more than a function's source may have.
Result<std::string> SourceArchive(const std::filesystem::path& path);

}  // namespace dispatch::cli
