#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace dispatch::crypto {

/// The keys of a file that only its owner may read, 64 hexadecimal digits a line, of 32 bytes each:
/// the first is in use, the others (at most seven) are those of before, newest first. Errors name
/// the file and the remedy.
Result<std::vector<std::string>> ReadKeyRing(const std::string& path);

}  // namespace dispatch::crypto
