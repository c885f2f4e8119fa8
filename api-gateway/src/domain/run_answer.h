#pragma once

#include "common/json.h"

namespace dispatch::gateway {

/// The HTTP status that tells how a run ended: 200; 422 for an InputError, 502 for a FunctionError,
/// 504 for one that exceeded its timeout, 503 for a SystemError.
int RunStatusOf(const json::object& run);

}  // namespace dispatch::gateway
