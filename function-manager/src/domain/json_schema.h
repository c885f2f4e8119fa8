#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// A JSON Schema, compiled: the validation keywords of drafts 4 to 7 with references inside the
/// document ("#/definitions/x"). Unknown keywords, `format` among them, say nothing. Patterns are
/// RE2's: no look-around and no back references. Immutable, so thread-safe.
///
/// Total, whatever the schema and the value: a schema of too many parts is refused, and a check
/// that takes too many steps or goes too deep fails and says so.
class JsonSchema {
 public:
  /// kUnprocessable names the place in the schema that does not hold. Null allows everything.
  static Result<JsonSchema> Compile(const json::value& schema);

  /// Why `value`, which people know as `name`, does not hold: "input.size must be at most 3".
  std::optional<std::string> Fault(const json::value& value, std::string_view name) const;

  struct Program;

 private:
  std::shared_ptr<const Program> program_;
};

}  // namespace dispatch
