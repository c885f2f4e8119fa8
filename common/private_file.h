#pragma once

#include <cstddef>
#include <string>

#include "common/result.h"

namespace dispatch {

/// The text of a file that holds secrets, of at most `most_bytes`. kInvalidArgument, naming the
/// file, when it cannot be read or when others than its owner may read it.
Result<std::string> ReadPrivateFile(const std::string& path, size_t most_bytes);

}  // namespace dispatch
