#include "schema/cloudevents_upgrade.h"

#include <fmt/format.h>

#include "schema/cloudevents_text.h"

namespace dispatch::cloudevents {

namespace {

struct Rename {
  std::string_view old_name;  // lower case
  std::string_view name;
};
constexpr Rename kRenames[] = {
    {"cloudeventsversion", "specversion"},
    {"eventid", "id"},
    {"eventtype", "type"},
    {"eventtypeversion", "eventtypeversion"},
    {"source", "source"},
    {"eventtime", "time"},
    {"schemaurl", "dataschema"},
    {"contenttype", "datacontenttype"},
};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string Lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = Lower(c);
  return out;
}

}  // namespace

bool Upgrade01::AddField(std::string_view name, std::string value) {
  std::string lower = Lowered(name);
  for (const Rename& rename : kRenames) {
    if (rename.old_name != lower) continue;
    if (!value.empty()) event_.Set(rename.name, std::move(value));
    return true;
  }
  return false;
}

void Upgrade01::AddExtension(std::string_view name, std::string value) {
  std::string clean;
  for (char c : Lowered(name)) {
    if (IsAttributeName({&c, 1})) clean += c;
  }
  if (!clean.empty()) extensions_.emplace_back(std::move(clean), std::move(value));
}

Result<Event> Upgrade01::Finish() {
  const std::string* version = event_.Find("specversion");
  if (version == nullptr || *version != "0.1") {
    return {Code::kInvalidArgument,
            "cloudEventsVersion must be 0.1 (send 1.0 events with specversion)"};
  }
  event_.Set("specversion", "1.0");
  for (auto& [name, value] : extensions_) {
    std::string free = name;
    for (int i = 1; event_.Find(free) != nullptr || free == "data"; ++i) {
      free = fmt::format("{}{}", name, i);
    }
    event_.Set(free, std::move(value));
  }
  RETURN_IF_ERROR(Validate(event_));
  return std::move(event_);
}

}  // namespace dispatch::cloudevents
