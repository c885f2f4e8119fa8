#include "schema/authorization.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crypto.h"

namespace dispatch::auth {

namespace {

constexpr std::string_view kPrefix = "dsp_";
constexpr std::string_view kActions[] = {kPublish, kSubscribe, kInvoke, kRead,
                                         kWrite,   kReadRuns,  kAdmin,  "*"};
constexpr std::string_view kSecretKeyLabel = "dispatch api keys v1";

bool IsAlphanumeric(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

Error Invalid(std::string field, std::string reason) {
  return {Code::kInvalidArgument, fmt::format("{} {}", field, reason), false, {{field, reason}}};
}

bool Fits(std::string_view pattern, std::string_view resource) {
  if (!pattern.ends_with('*')) return pattern == resource;
  return resource.starts_with(pattern.substr(0, pattern.size() - 1));
}

// The pattern allows some object of the kind.
bool FitsSome(std::string_view pattern, std::string_view kind) {
  std::string objects = fmt::format("{}/", kind);
  if (pattern.starts_with(objects)) return true;
  return pattern.ends_with('*') && objects.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool Includes(const std::vector<std::string>& actions, std::string_view action) {
  return std::any_of(actions.begin(), actions.end(), [&](const std::string& allowed) {
    return allowed == action || allowed == "*" || allowed == kAdmin;
  });
}

Status CheckAction(std::string_view action) {
  if (std::find(std::begin(kActions), std::end(kActions), action) != std::end(kActions)) return {};
  return Invalid("actions", fmt::format("has the unknown word \"{}\"; known are {}", action,
                                        fmt::join(kActions, ", ")));
}

Status CheckResource(std::string_view resource) {
  size_t star = resource.find('*');
  bool star_last = star == std::string_view::npos || star + 1 == resource.size();
  if (star_last && (resource == "*" || resource.find('/') != std::string_view::npos)) return {};
  return Invalid("resources",
                 fmt::format("has \"{}\": write kind/name, kind/prefix* or *", resource));
}

Result<std::vector<std::string>> Strings(const json::object& o, std::string_view key) {
  const json::array* list = json::GetArray(o, key);
  if (list == nullptr || list->empty()) {
    return Invalid(std::string(key), "must be a list of strings, not empty");
  }
  std::vector<std::string> strings;
  for (const json::value& element : *list) {
    if (!element.is_string()) return Invalid(std::string(key), "must be a list of strings");
    strings.emplace_back(element.get_string());
  }
  return strings;
}

Result<Grant> ParseGrant(const json::object& o) {
  Grant grant;
  ASSIGN_OR_RETURN(grant.actions, Strings(o, "actions"));
  ASSIGN_OR_RETURN(grant.resources, Strings(o, "resources"));
  for (const auto& action : grant.actions) RETURN_IF_ERROR(CheckAction(action));
  for (const auto& resource : grant.resources) RETURN_IF_ERROR(CheckResource(resource));
  return grant;
}

Result<Grant> ParseShortScope(std::string_view text) {
  size_t colon = std::min(text.find(':'), text.size());
  std::string_view action = text.substr(0, colon);
  std::string_view resource = colon == text.size() ? "*" : text.substr(colon + 1);
  RETURN_IF_ERROR(CheckAction(action));
  RETURN_IF_ERROR(CheckResource(resource));
  return Grant{{std::string(action)}, {std::string(resource)}};
}

}  // namespace

std::string KeyText::ToString() const { return fmt::format("{}{}_{}", kPrefix, id, secret); }

KeyText KeyText::Random() {
  return {crypto::RandomAlphanumeric(kIdLength), crypto::RandomAlphanumeric(kSecretLength)};
}

Result<KeyText> KeyText::Parse(std::string_view text) {
  const size_t separator = kPrefix.size() + kIdLength;
  if (text.size() == separator + 1 + kSecretLength && text.starts_with(kPrefix) &&
      text[separator] == '_') {
    std::string_view id = text.substr(kPrefix.size(), kIdLength);
    std::string_view secret = text.substr(separator + 1);
    if (IsAlphanumeric(id) && IsAlphanumeric(secret)) {
      return KeyText{std::string(id), std::string(secret)};
    }
  }
  return {Code::kUnauthenticated, "the API key does not have the form dsp_<id>_<secret>"};
}

std::string HashSecret(std::string_view service_key, std::string_view secret) {
  return crypto::HexEncode(
      crypto::HmacSha256(crypto::HmacSha256(service_key, kSecretKeyLabel), secret));
}

bool SecretMatches(std::string_view service_key, std::string_view secret, std::string_view hash) {
  return crypto::EqualConstantTime(HashSecret(service_key, secret), hash);
}

bool Grant::Allows(std::string_view action, std::string_view resource) const {
  return Includes(actions, action) &&
         std::any_of(resources.begin(), resources.end(),
                     [&](const std::string& pattern) { return Fits(pattern, resource); });
}

bool Grant::AllowsSome(std::string_view action, std::string_view kind) const {
  return Includes(actions, action) &&
         std::any_of(resources.begin(), resources.end(),
                     [&](const std::string& pattern) { return FitsSome(pattern, kind); });
}

bool Permissions::Allows(std::string_view action, std::string_view resource) const {
  return std::any_of(grants_.begin(), grants_.end(),
                     [&](const Grant& grant) { return grant.Allows(action, resource); });
}

bool Permissions::AllowsSome(std::string_view action, std::string_view kind) const {
  return std::any_of(grants_.begin(), grants_.end(),
                     [&](const Grant& grant) { return grant.AllowsSome(action, kind); });
}

Result<Grant> ParseScope(const json::value& scope) {
  if (scope.is_object()) return ParseGrant(scope.get_object());
  if (scope.is_string()) return ParseShortScope(scope.get_string());
  return Invalid("scopes", "must hold strings or {\"actions\", \"resources\"}");
}

Result<std::vector<Grant>> ParseScopes(const json::value& scopes) {
  if (!scopes.is_array()) return Invalid("scopes", "must be a list");
  std::vector<Grant> grants;
  for (size_t i = 0; i < scopes.get_array().size(); ++i) {
    auto grant = ParseScope(scopes.get_array()[i]);
    if (!grant.ok()) {
      Error error = grant.error();
      for (auto& detail : error.details) detail.field = fmt::format("scopes[{}]", i);
      return error;
    }
    grants.push_back(std::move(*grant));
  }
  return grants;
}

Result<Policy> Policy::Parse(const json::object& document) {
  Policy policy;
  policy.name = json::GetString(document, "name");
  policy.global = json::GetBool(document, "global");
  const json::array* rules = json::GetArray(document, "rules");
  if (rules == nullptr || rules->empty()) return Invalid("rules", "must be a list, not empty");
  for (const json::value& element : *rules) {
    if (!element.is_object()) return Invalid("rules", "must hold objects");
    Rule rule;
    ASSIGN_OR_RETURN(rule.subjects, Strings(element.get_object(), "subjects"));
    ASSIGN_OR_RETURN(rule.grant, ParseGrant(element.get_object()));
    policy.rules.push_back(std::move(rule));
  }
  return policy;
}

void AddPolicy(const Policy& policy, std::string_view key_id, std::string_view key_name,
               Permissions* permissions) {
  auto names_key = [&](std::string_view subject) {
    if (subject == "*") return true;
    if (!subject.starts_with("key:")) return false;
    subject.remove_prefix(4);
    return subject == key_id || (!key_name.empty() && subject == key_name);
  };
  for (const Policy::Rule& rule : policy.rules) {
    if (std::any_of(rule.subjects.begin(), rule.subjects.end(), names_key)) {
      permissions->Add(rule.grant);
    }
  }
}

}  // namespace dispatch::auth
