#pragma once

#include "common/http/message.h"
#include "common/json.h"

namespace dispatch::gateway {

/// `{"message": ...}`, as VMware's gateways say what is wrong.
http::Response EndpointFault(int status, std::string_view message);

/// What a caller gets of a run. Its output is the body, as JSON; null and "" are an empty body. An
/// output `{"httpResponse": {"status", "headers", "body", "base64"}}` with nothing beside chooses
/// status, fields and content type: a text is sent as it is (`base64`: decoded), anything else as
/// JSON. A failed run is 400 (InputError), 502 (FunctionError), 504 (its timeout) or 503.
http::Response EndpointAnswer(const json::object& run);

}  // namespace dispatch::gateway
