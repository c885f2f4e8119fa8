#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch::cli {

/// JSON as YAML that reads back as the same JSON.
std::string ToYaml(const json::value& value);

/// The documents of a YAML stream, or of a JSON text (which YAML includes), as JSON. Plain scalars
/// are what YAML 1.2's core schema says; quoted ones are strings. A usage error names the line.
Result<std::vector<json::value>> ParseDocuments(std::string_view text);

}  // namespace dispatch::cli
