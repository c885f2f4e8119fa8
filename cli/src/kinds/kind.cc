#include "cli/src/kinds/kind.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/config.h"
#include "common/http/message.h"

namespace dispatch::cli {

namespace {

bool Means(const Kind& kind, std::string_view word) {
  auto is = [word](std::string_view name) { return http::EqualsIgnoreCase(name, word); };
  return is(kind.name) || is(kind.document_kind) ||
         std::any_of(kind.aliases.begin(), kind.aliases.end(), is);
}

}  // namespace

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = {TopicKind(),  SubscriptionKind(),  BaseImageKind(),
                                          ImageKind(),  FunctionKind(),      SecretKind(),
                                          ApiKind(),    ApplicationKind(),   DriverTypeKind(),
                                          DriverKind(), OrganizationKind(),  KeyKind(),
                                          PolicyKind(), ServiceAccountKind()};
  return kinds;
}

std::string KindNames() {
  std::string names;
  for (const Kind& kind : Kinds()) names += (names.empty() ? "" : ", ") + kind.name;
  return names;
}

Result<const Kind*> FindKind(std::string_view word) {
  for (const Kind& kind : Kinds()) {
    if (Means(kind, word)) return &kind;
  }
  return UsageError(fmt::format("there is no kind '{}'; known are {}", word, KindNames()));
}

Result<std::string> PathOf(Api& api, const Kind& kind, const std::string& name) {
  if (!kind.named_by_id) return fmt::format("{}/{}", kind.path, PercentEncode(name));
  ASSIGN_OR_RETURN(auto list, CallJson(api, "GET", kind.path));
  std::string id = name;
  for (const auto& element : list.is_array() ? list.as_array() : json::array()) {
    const auto* object = element.if_object();
    if (object == nullptr) continue;
    if (json::GetString(*object, "id") == name) {
      id = name;
      break;
    }
    if (json::GetString(*object, "name") == name) id = json::GetString(*object, "id");
  }
  return fmt::format("{}/{}", kind.path, PercentEncode(id));
}

Flag TagFlag() {
  return {.name = "tag", .value = "KEY=VALUE", .help = "a tag", .repeatable = true};
}

Flag ApplicationFlag() {
  return {.name = "application",
          .value = "NAME",
          .help = "the application that it is of (tag Application)",
          .letter = 'a'};
}

Status FillTags(const Arguments& flags, json::object& document) {
  auto given = flags.All("tag");
  auto application = flags.Value("application");
  if (given.empty() && !application) return {};
  json::array tags;
  if (application) tags.push_back({{"key", "Application"}, {"value", *application}});
  for (const std::string& tag : given) {
    size_t equals = tag.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError(fmt::format("--tag is KEY=VALUE, not '{}'", tag));
    }
    tags.push_back({{"key", tag.substr(0, equals)}, {"value", tag.substr(equals + 1)}});
  }
  document["tags"] = std::move(tags);
  return {};
}

Flag ConfigFlag() {
  return {.name = "set",
          .value = "KEY[=VALUE]",
          .help = "of its config",
          .letter = 's',
          .repeatable = true};
}

Status FillConfig(const Arguments& flags, json::object& document) {
  auto given = flags.All("set");
  if (given.empty()) return {};
  json::value& config = document["config"];
  if (!config.is_array()) config = json::array();
  for (const std::string& entry : given) {
    size_t equals = std::min(entry.find('='), entry.size());
    std::string key = entry.substr(0, equals);
    if (key.empty()) return UsageError(fmt::format("--set is KEY=VALUE, not '{}'", entry));
    std::string value = equals < entry.size() ? entry.substr(equals + 1) : "";
    json::array& entries = config.as_array();
    auto same = std::find_if(entries.begin(), entries.end(), [&](const json::value& e) {
      return e.is_object() && json::GetString(e.as_object(), "key") == key;
    });
    if (same != entries.end()) entries.erase(same);
    entries.push_back({{"key", key}, {"value", value}});
  }
  return {};
}

void FillText(const Arguments& flags, std::string_view flag, json::object& document,
              std::string_view field) {
  if (auto value = flags.Value(flag)) document[field] = *value;
}

Status FillDuration(const Arguments& flags, std::string_view flag, json::object& document,
                    std::string_view field) {
  auto value = flags.Value(flag);
  if (!value) return {};
  if (!ParseDuration(*value).ok()) {
    return UsageError(
        fmt::format("--{} is a duration as 500ms, 30s, 5m, 2h or 7d, not '{}'", flag, *value));
  }
  document[field] = *value;
  return {};
}

Result<json::value> RateOf(std::string_view flag, const std::string& text) {
  size_t slash = text.find('/');
  std::string count = text.substr(0, slash);
  bool number = !count.empty() && count.size() < 10 &&
                count.find_first_not_of("0123456789") == std::string::npos;
  if (slash == std::string::npos || !number) {
    return UsageError(
        fmt::format("--{} is COUNT/TIME as in 100/s or 5000/1m, not '{}'", flag, text));
  }
  std::string per = text.substr(slash + 1);
  if (!per.empty() && std::isdigit(static_cast<unsigned char>(per[0])) == 0) per = "1" + per;
  return json::value{{"events", std::stoll(count)}, {"per", per}};
}

Result<json::value> JsonOf(std::string_view flag, std::string_view text) {
  auto parsed = json::Parse(text);
  if (parsed.ok()) return parsed;
  return UsageError(fmt::format("--{} is JSON: {}", flag, parsed.message()));
}

}  // namespace dispatch::cli
