#pragma once

#include <string>

#include "common/result.h"
#include "schema/authorization.h"

namespace dispatch::identity {

/// The API key in the file `path`. When there is no such file, makes a key and writes it there:
/// mode 0600, complete or not at all, never over another file. A file that is there is used as it
/// is, so a start that died before its commit, or a key that an operator put there, are the same
/// case. kInvalidArgument when the file holds something else or others can read it, kUnavailable
/// when it cannot be written; the message says what to do and never holds the key.
Result<auth::KeyText> EnsureKeyFile(const std::string& path);

}  // namespace dispatch::identity
