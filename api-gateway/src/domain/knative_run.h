#pragma once

#include "common/json.h"
#include "common/result.h"

namespace dispatch::gateway {

/// Runs as VMware's Knative line asks for them: `inputBytes` is base64 of any content type, which
/// httpContext["Content-Type"] names (default application/json).

/// Puts what `inputBytes` holds into `input`: JSON as such, other text as a text, what is neither
/// as the base64 that it was. False when there is none. kUnprocessable naming `inputBytes`.
Result<bool> TakeInputBytes(json::object& body);

/// The answer to such a request: `outputBytes` is base64 of what the base images' own server says,
/// {"context": {"error"?, "logs"}, "payload"}, and times are in unix seconds.
json::object KnativeRunForm(json::object run);

}  // namespace dispatch::gateway
