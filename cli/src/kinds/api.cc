#include <fmt/format.h>

#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

void FillList(const Arguments& flags, std::string_view flag, json::object& document,
              std::string_view field) {
  auto given = flags.All(flag);
  if (given.empty()) return;
  json::array list;
  for (const std::string& value : given) list.emplace_back(value);
  document[field] = std::move(list);
}

// A file of PEM, or a JWKS document.
Status AddKeys(const std::string& file, json::object& rules, json::array& pems) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(file));
  if (size_t first = text.find_first_not_of(" \t\r\n"); first != text.npos && text[first] == '{') {
    ASSIGN_OR_RETURN(rules["jwks"], JsonOf("jwt-keys", text));
  } else {
    pems.emplace_back(std::move(text));
  }
  return {};
}

// --jwt-keys replaces all the keys, the others what they name.
Status FillTokens(const Arguments& flags, json::object& document) {
  json::object rules;
  if (const auto* known = json::GetObject(document, "jwt")) rules = *known;
  if (auto files = flags.All("jwt-keys"); !files.empty()) {
    rules.erase("jwks");
    rules.erase("publicKeys");
    json::array pems;
    for (const std::string& file : files) RETURN_IF_ERROR(AddKeys(file, rules, pems));
    if (!pems.empty()) rules["publicKeys"] = std::move(pems);
  }
  FillText(flags, "jwt-issuer", rules, "issuer");
  FillList(flags, "jwt-audience", rules, "audience");
  RETURN_IF_ERROR(FillDuration(flags, "jwt-leeway", rules, "leeway"));
  if (!rules.empty()) document["jwt"] = std::move(rules);
  // The server takes no keys that nothing is checked with.
  if (flags.Has("auth") && *flags.Value("auth") != "jwt") document.erase("jwt");
  return {};
}

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) {
    document["function"] = flags.positionals()[2];
    // A new one: what VMware's command says of those that it was told nothing about.
    document.emplace("uris", json::array{"/"});
    document.emplace("methods", json::array{"GET"});
    document.emplace("enabled", true);
  }
  FillList(flags, "domain", document, "hosts");
  FillList(flags, "path", document, "uris");
  FillList(flags, "method", document, "methods");
  if (flags.Has("https-only")) document["protocols"] = json::array{"https"};
  FillText(flags, "auth", document, "authentication");
  if (flags.Has("enable") && flags.Has("disable")) {
    return UsageError("give --enable or --disable, not both");
  }
  if (flags.Has("enable")) document["enabled"] = true;
  if (flags.Has("disable")) document["enabled"] = false;
  if (flags.Has("cors")) document["cors"] = true;
  RETURN_IF_ERROR(FillTokens(flags, document));
  return FillTags(flags, document);
}

std::string Joined(const json::object& api, std::string_view field, const std::string& prefix,
                   std::string_view otherwise) {
  std::string text;
  const auto* list = json::GetArray(api, field);
  for (const auto& value : list != nullptr ? *list : json::array()) {
    text += (text.empty() ? "" : ",") + prefix + CellText(value);
  }
  return text.empty() ? std::string(otherwise) : text;
}

std::string Paths(const json::object& api) {
  return Joined(api, "uris", json::GetString(api, kEndpointsUrlField), "");
}

}  // namespace

bool IsSecure(const json::object& api) {
  const auto* protocols = json::GetArray(api, "protocols");
  return protocols != nullptr && *protocols == json::array{"https"};
}

Kind ApiKind() {
  return {
      .name = "api",
      .aliases = {"apis", "endpoint", "endpoints"},
      .document_kind = "API",
      .path = "/v1/api",
      .flags =
          {{.name = "domain",
            .value = "HOST",
            .help = "requests to this host (default: any; paths then begin with "
                    "/ORGANIZATION)",
            .letter = 'd',
            .repeatable = true},
           {.name = "path",
            .value = "PATH",
            .help = "and this path; {name} stands for one part of it (default /)",
            .letter = 'p',
            .repeatable = true},
           {.name = "method",
            .value = "METHOD",
            .help = "and this method (default GET)",
            .letter = 'm',
            .repeatable = true},
           {.name = "https-only", .help = "only over TLS"},
           {.name = "enable", .help = "serve it (the default of a new one)"},
           {.name = "disable", .help = "do not serve it"},
           {.name = "cors", .help = "let web pages of any origin call it"},
           {.name = "auth",
            .value = "HOW",
            .help = "public (default), key: an API key that may invoke the function, or "
                    "jwt: a token signed by one of --jwt-keys"},
           {.name = "jwt-keys",
            .value = "FILE",
            .help =
                "public keys in PEM, or a JWKS document (RS256, RS384, RS512, ES256, ES384, EdDSA)",
            .repeatable = true},
           {.name = "jwt-issuer", .value = "ISSUER", .help = "only tokens of this issuer"},
           {.name = "jwt-audience",
            .value = "AUDIENCE",
            .help = "only tokens for this audience, or another that is given",
            .repeatable = true},
           {.name = "jwt-leeway",
            .value = "DURATION",
            .help = "how far clocks may be apart (default 60s)"},
           ApplicationFlag(),
           TagFlag()},
      .fill = Fill,
      .columns = {FieldColumn("NAME", "name"),
                  FieldColumn("FUNCTION", "function"),
                  {"PROTOCOL",
                   [](const auto& a) { return Joined(a, "protocols", "", "http,https"); }},
                  {"METHOD", [](const auto& a) { return Joined(a, "methods", "", "any"); }},
                  {"DOMAIN", [](const auto& a) { return Joined(a, "hosts", "", ""); }},
                  {"PATH", Paths},
                  FieldColumn("AUTH", "authentication"),
                  FieldColumn("STATUS", "status"),
                  FieldColumn("ENABLED", "enabled")},
      .examples = {"dispatch create api hello hello --path /hello --method GET --method POST",
                   "dispatch create api item shop --domain shop.example.com --path "
                   "'/items/{id}' --auth key"},
      .argument = "FUNCTION",
      .argument_required = true};
}

}  // namespace dispatch::cli
