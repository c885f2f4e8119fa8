#include <fmt/format.h>

#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  for (const std::string& given : flags.All("set")) {
    size_t equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError("--set is KEY=VALUE; better put values into a file and use -f");
    }
    json::value& values = document["secrets"];
    if (!values.is_object()) values = json::object();
    values.as_object()[given.substr(0, equals)] = given.substr(equals + 1);
  }
  return FillTags(flags, document);
}

std::string Keys(const json::object& secret) {
  std::string keys;
  const auto* values = json::GetObject(secret, "secrets");
  for (const auto& value : values != nullptr ? *values : json::object()) {
    keys += (keys.empty() ? "" : ", ") + std::string(value.key());
  }
  return keys;
}

}  // namespace

Kind SecretKind() {
  return {.name = "secret",
          .aliases = {"secrets"},
          .document_kind = "Secret",
          .path = "/v1/secret",
          .flags = {{.name = "set",
                     .value = "KEY=VALUE",
                     .help = "a value (others of this machine may see it: -f FILE hides it)",
                     .letter = 's',
                     .repeatable = true},
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"),
                      {"KEYS", Keys},
                      TimeColumn("CREATED", "createdTime")},
          .examples = {
              "dispatch create secret -f token.yaml   # name: billing, secrets: {token: ...}"}};
}

}  // namespace dispatch::cli
