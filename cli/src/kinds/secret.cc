#include <fmt/format.h>

#include "cli/src/kinds/kind.h"
#include "cli/src/yaml.h"

namespace dispatch::cli {

namespace {

// The values of a file, {"key": "value"}, in place of what there were.
Status FillFile(const std::string& path, json::object& document) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  ASSIGN_OR_RETURN(auto documents, ParseDocuments(text));
  if (documents.size() != 1 || !documents[0].is_object()) {
    return UsageError(fmt::format("{} is not one object as {{\"key\": \"value\"}}", path));
  }
  for (const auto& [key, value] : documents[0].as_object()) {
    if (value.is_string()) continue;
    return UsageError(
        fmt::format("{}: the value of {} is no text: put it in quotes", path, std::string(key)));
  }
  document["secrets"] = std::move(documents[0]);
  return {};
}

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) {
    RETURN_IF_ERROR(FillFile(flags.positionals()[2], document));
  }
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

std::string Content(const json::object& secret) {
  std::string content;
  const auto* values = json::GetObject(secret, "secrets");
  for (const auto& value : values != nullptr ? *values : json::object()) {
    content += fmt::format("{}{}: <hidden>", content.empty() ? "" : ", ", std::string(value.key()));
  }
  return content;
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
                     .repeatable = true},
                    ApplicationFlag(),
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("ID", "id"), FieldColumn("NAME", "name"), {"CONTENT", Content}},
          .examples = {"dispatch create secret billing token.json   # {\"token\": \"...\"}",
                       "dispatch create secret -f token.yaml   # name: billing, secrets: {token: "
                       "...}"},
          .argument = "FILE"};
}

}  // namespace dispatch::cli
