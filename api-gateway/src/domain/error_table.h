#pragma once

#include <string_view>

#include "common/result.h"

namespace dispatch::gateway {

/// The one table from the causes of errors to HTTP statuses (STYLE: Errors).
int HttpStatusOf(Code code);

/// The `code` of an error's body: its status, but 605 for a name that is no name under VMware's
/// paths, whose clients tell it so.
int BodyCodeOf(int status, std::string_view path, const Error& error);
/// What Retry-After says for a status, in seconds; 0: no such field.
int RetryAfterSeconds(int status);

}  // namespace dispatch::gateway
