#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// Checks an API as a user describes it and makes the document that is stored. Without hosts each
/// of its `uris` gets "/<org>" in front, unless it has that. kUnprocessable naming every faulty
/// field.
Result<json::object> ApiDocument(const std::string& org, const json::object& body);

}  // namespace dispatch
