#include <fmt/format.h>

#include "cli/src/kinds/kind.h"
#include "common/config.h"
#include "schema/rfc3339.h"

namespace dispatch::cli {

namespace {

// A duration from now, or a time.
Status FillExpiry(const Arguments& flags, const Environment& environment, json::object& document) {
  auto text = flags.Value("expires");
  if (!text) return {};
  if (auto duration = ParseDuration(*text); duration.ok()) {
    document["expiresAt"] = schema::FormatRfc3339(environment.now + *duration);
  } else if (schema::ParseRfc3339(*text).ok()) {
    document["expiresAt"] = *text;
  } else {
    return UsageError(fmt::format(
        "--expires is a duration as 30d, or a time as 2030-01-31T00:00:00Z, not '{}'", *text));
  }
  return {};
}

Status Fill(const Arguments& flags, const Environment& environment, json::object& document) {
  json::array scopes;
  for (const std::string& scope : flags.All("scope")) {
    if (!scope.starts_with('{')) {
      scopes.emplace_back(scope);
      continue;
    }
    ASSIGN_OR_RETURN(auto parsed, JsonOf("scope", scope));
    scopes.push_back(std::move(parsed));
  }
  if (!scopes.empty()) document["scopes"] = std::move(scopes);
  if (flags.Has("global")) document["global"] = true;
  return FillExpiry(flags, environment, document);
}

std::string Scopes(const json::object& key) {
  std::string text;
  const auto* scopes = json::GetArray(key, "scopes");
  for (const auto& scope : scopes != nullptr ? *scopes : json::array()) {
    text += (text.empty() ? "" : ", ") + CellText(scope);
  }
  return json::GetBool(key, "global") ? text + " (everywhere)" : text;
}

std::string Note(const json::object& created) {
  return fmt::format("  {}\nKeep it now: nobody can show it again.\n",
                     json::GetString(created, "key"));
}

}  // namespace

Kind KeyKind() {
  return {.name = "key",
          .aliases = {"keys", "apikey", "apikeys"},
          .document_kind = "Key",
          .path = "/v1/iam/keys",
          .flags = {{.name = "scope",
                     .value = "ACTION[:KIND/NAME]",
                     .help = "what it may do: admin, publish, subscribe, read, ...",
                     .repeatable = true},
                    {.name = "expires", .value = "DURATION|TIME", .help = "until when it is good"},
                    {.name = "global", .help = "may act in every organization"}},
          .fill = Fill,
          .columns = {FieldColumn("ID", "id"),
                      FieldColumn("NAME", "name"),
                      {"SCOPES", Scopes},
                      FieldColumn("STATUS", "status"),
                      TimeColumn("EXPIRES", "expiresAt"),
                      TimeColumn("CREATED", "createdTime")},
          .examples = {"dispatch create key ci --scope publish:topic/orders --expires 30d",
                       "dispatch create key ops --scope admin -o json"},
          .named_by_id = true,
          .note = Note};
}

}  // namespace dispatch::cli
