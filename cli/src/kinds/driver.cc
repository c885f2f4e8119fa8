#include <fmt/format.h>

#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  FillText(flags, "name", document, "name");
  RETURN_IF_ERROR(FillConfig(flags, document));
  auto secrets = flags.All("secret");
  if (!secrets.empty()) document["secrets"] = json::array(secrets.begin(), secrets.end());
  return FillTags(flags, document);
}

std::string Joined(const json::object& object, const char* field,
                   std::string (*text)(const json::value&)) {
  std::string out;
  const auto* values = json::GetArray(object, field);
  for (const auto& value : values != nullptr ? *values : json::array()) {
    out += (out.empty() ? "" : ",") + text(value);
  }
  return out;
}

std::string Text(const json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : std::string();
}

std::string Entry(const json::value& value) {
  const auto* entry = value.if_object();
  if (entry == nullptr) return {};
  return json::GetString(*entry, "key") + "=" + json::GetString(*entry, "value");
}

// The token of a webhook shows once.
std::string Note(const json::object& driver) {
  std::string token = json::GetString(driver, "token");
  if (token.empty()) return {};
  return fmt::format("Events are taken at {}\n", Printable(json::GetString(driver, "url")));
}

}  // namespace

Kind DriverKind() {
  return {
      .name = "eventdriver",
      .aliases = {"eventdrivers", "event-driver", "event-drivers"},
      .document_kind = "Driver",
      .path = "/v1/event/drivers",
      .flags = {{.name = "name", .value = "NAME", .help = "its name; default: one is made up"},
                ConfigFlag(),
                {.name = "secret",
                 .value = "SECRET",
                 .help = "a secret that it is given",
                 .repeatable = true},
                ApplicationFlag(),
                TagFlag()},
      .fill = Fill,
      .columns = {FieldColumn("NAME", "name"),
                  FieldColumn("TYPE", "type"),
                  FieldColumn("STATUS", "status"),
                  {"SECRETS", [](const json::object& o) { return Joined(o, "secrets", Text); }},
                  {"CONFIG", [](const json::object& o) { return Joined(o, "config", Entry); }},
                  FieldColumn("URL", "url"),
                  {"REASON", [](const json::object& o) { return Joined(o, "reason", Text); }}},
      .examples = {"dispatch create eventdriver ticker --name tick --set seconds=10",
                   "dispatch create eventdriver cron --name nightly --set 'cron=0 3 * * *' --set "
                   "timezone=Europe/Berlin",
                   "dispatch create eventdriver webhook --name github --set topic=pushes"},
      .note = Note,
      .label = "event driver",
      .word_field = "type",
      .deleted_label = "drivers"};
}

}  // namespace dispatch::cli
