#pragma once

#include "common/result.h"

namespace dispatch::gateway {

/// The one table from the causes of errors to HTTP statuses (STYLE: Errors).
int HttpStatusOf(Code code);

/// What Retry-After says for a status, in seconds; 0: no such field.
int RetryAfterSeconds(int status);

}  // namespace dispatch::gateway
