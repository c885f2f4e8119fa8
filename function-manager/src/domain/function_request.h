#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// Checks a function as a user describes it and makes the document that is stored: name, runtime
/// (`http`), url, timeout, tags. kUnprocessable naming every faulty field.
Result<json::object> FunctionDocument(const std::string& body);

}  // namespace dispatch
