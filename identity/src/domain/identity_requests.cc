#include "identity/src/domain/identity_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "schema/authorization.h"
#include "schema/objects.h"
#include "schema/request_reader.h"
#include "schema/rfc3339.h"
#include "schema/service_account.h"

namespace dispatch::identity {

namespace {

using schema::RequestReader;

constexpr size_t kMaxScopes = 100;
constexpr size_t kMaxRules = 100;
constexpr size_t kMaxListItems = 100;
constexpr size_t kMaxItemLength = 255;

// Fields that clients send back with what they read, and that only we set.
constexpr std::initializer_list<std::string_view> kReadOnly = {
    "id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime"};

constexpr char kNameRule[] =
    "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit";

std::string ReadName(RequestReader& reader) {
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) reader.Fault("name", kNameRule);
  return name;
}

void ReadScopes(RequestReader& reader, json::object& document) {
  const auto* scopes = reader.Array("scopes");
  if (scopes == nullptr) return;
  if (scopes->size() > kMaxScopes) {
    reader.Fault("scopes", fmt::format("must be at most {}", kMaxScopes));
    return;
  }
  for (size_t i = 0; i < scopes->size(); ++i) {
    auto grant = auth::ParseScope((*scopes)[i]);
    if (!grant.ok()) reader.Fault(fmt::format("scopes[{}]", i), grant.error().message);
  }
  document["scopes"] = *scopes;
}

void ReadExpiry(RequestReader& reader, WallTime now, json::object& document) {
  std::string text = reader.String("expiresAt");
  if (text.empty()) return;
  auto time = schema::ParseRfc3339(text);
  if (!time.ok()) {
    reader.Fault("expiresAt", "must be a time as \"2030-01-31T00:00:00Z\"");
  } else if (*time <= now) {
    reader.Fault("expiresAt", "must lie in the future");
  } else {
    document["expiresAt"] = schema::FormatRfc3339(*time);
  }
}

bool IsWord(const json::value& value) {
  const auto* text = value.if_string();
  return text != nullptr && !text->empty() && text->size() <= kMaxItemLength &&
         std::all_of(text->begin(), text->end(),
                     [](unsigned char c) { return c > ' ' && c < 127; });
}

void ReadWords(RequestReader& rule, std::string_view field) {
  const auto* words = rule.Array(field);
  if (words == nullptr || words->empty()) {
    if (words != nullptr || !rule.Has(field)) rule.Fault(field, "must be a list, not empty");
    return;
  }
  if (words->size() > kMaxListItems || !std::all_of(words->begin(), words->end(), IsWord)) {
    rule.Fault(field, fmt::format("must hold at most {} words of at most {} characters without "
                                  "blanks",
                                  kMaxListItems, kMaxItemLength));
  }
}

// One rule alone, so that a fault is told with its place.
void CheckMeaning(const json::object& rule, RequestReader& reader) {
  auto policy = auth::Policy::Parse({{"name", "rule"}, {"rules", json::array{rule}}});
  if (policy.ok()) return;
  for (const auto& detail : policy.error().details) reader.Fault(detail.field, detail.reason);
}

void ReadRules(RequestReader& reader, json::object& document) {
  const auto* rules = reader.Array("rules");
  if (rules == nullptr || rules->empty()) {
    if (rules != nullptr || !reader.Has("rules")) {
      reader.Fault("rules",
                   "must be a list of {\"subjects\", \"actions\", \"resources\"}, not "
                   "empty");
    }
    return;
  }
  if (rules->size() > kMaxRules) {
    reader.Fault("rules", fmt::format("must be at most {}", kMaxRules));
    return;
  }
  for (size_t i = 0; i < rules->size(); ++i) {
    std::string place = fmt::format("rules[{}]", i);
    const auto* rule = (*rules)[i].if_object();
    if (rule == nullptr) {
      reader.Fault(place, "must be an object");
      continue;
    }
    RequestReader inner(*rule, place);
    for (const char* field : {"subjects", "actions", "resources"}) ReadWords(inner, field);
    inner.Allow({});
    if (inner.ok()) CheckMeaning(*rule, inner);
    reader.Take(inner);
  }
  document["rules"] = *rules;
}

}  // namespace

Result<json::object> OrganizationDocument(const json::object& request) {
  RequestReader reader(request);
  json::object document;
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsOrganizationName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 lower-case letters, digits and '-', the first a letter or a "
                 "digit, and not \"dispatch\"");
  }
  document["name"] = name;
  document["kind"] = "Organization";
  document["tags"] = reader.Tags();
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

Result<json::object> ApiKeyDocument(const json::object& request, WallTime now) {
  RequestReader reader(request);
  json::object document;
  document["name"] = ReadName(reader);
  document["kind"] = "Key";
  // Without scopes it may do what policies give it.
  document["scopes"] = json::array();
  ReadScopes(reader, document);
  ReadExpiry(reader, now, document);
  if (reader.Bool("global", false)) document["global"] = true;
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

Result<json::object> ApiKeyChanges(const json::object& request, WallTime now) {
  RequestReader reader(request);
  json::object changes;
  std::string name = ReadName(reader);
  // The gateway names a key by its id in both fields.
  if (std::string id = reader.String("id"); !id.empty() && name != id) changes["name"] = name;
  ReadScopes(reader, changes);
  ReadExpiry(reader, now, changes);
  // Who may give this away is asked when a key is made; a key does not become another.
  reader.Bool("global", false);
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return changes;
}

Result<json::object> ServiceAccountDocument(const json::object& request) {
  RequestReader reader(request);
  json::object document;
  document["name"] = ReadName(reader);
  document["kind"] = "ServiceAccount";
  std::string text = reader.RequiredString("publicKey");
  if (auto keys = schema::AccountKeys(text); !text.empty() && !keys.ok()) {
    reader.Fault("publicKey", keys.message());
  }
  document["publicKey"] = text;
  std::string audience = reader.String("audience");
  if (audience.size() > kMaxItemLength)
    reader.Fault("audience", "must have 255 characters at most");
  if (!audience.empty()) document["audience"] = audience;
  document["domain"] = "svc.dispatch.local";
  document["tags"] = reader.Tags();
  reader.String("domain");  // ours to say, as what follows
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

Result<json::object> PolicyDocument(const json::object& request) {
  RequestReader reader(request);
  json::object document;
  document["name"] = ReadName(reader);
  document["kind"] = "Policy";
  document["global"] = reader.Bool("global", false);
  ReadRules(reader, document);
  document["tags"] = reader.Tags();
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

}  // namespace dispatch::identity
