#include "function-manager/src/domain/api_request.h"

#include <algorithm>
#include <set>

#include "schema/api_jwt.h"
#include "schema/api_object.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

constexpr size_t kMost = 64;
constexpr size_t kMaxText = 1024;

using schema::RequestReader;

std::vector<std::string> Texts(RequestReader& reader, std::string_view field) {
  std::vector<std::string> out;
  const auto* values = reader.Array(field);
  for (const auto& value : values != nullptr ? *values : json::array()) {
    if (!value.is_string() || value.get_string().empty() || value.get_string().size() > kMaxText) {
      reader.Fault(field, "must be texts of 1 to 1024 characters");
      return {};
    }
    out.emplace_back(value.get_string());
  }
  if (out.size() > kMost) reader.Fault(field, "must be at most 64");
  return out;
}

json::array ArrayOf(const std::vector<std::string>& texts) {
  json::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

// "Example.com:8081" is example.com.
std::vector<std::string> Hosts(RequestReader& reader) {
  auto hosts = Texts(reader, "hosts");
  for (std::string& host : hosts) {
    host = host.substr(0, host.find(':'));
    for (char& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    bool valid = !host.empty() && host.size() <= 253 &&
                 std::all_of(host.begin(), host.end(), [](unsigned char c) {
                   return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
                 });
    if (!valid) reader.Fault("hosts", "must be names of hosts, as api.example.com");
  }
  return hosts;
}

std::string UriFault(const std::string& uri) {
  if (!uri.starts_with('/')) return "must begin with '/'";
  std::set<std::string> parameters;
  for (const std::string& segment : schema::PathSegments(uri)) {
    bool braces = segment.find_first_of("{}") != std::string::npos;
    if (segment.empty()) return "must have no empty segments";
    if (segment.find_first_of("?#%\\ ") != std::string::npos) {
      return "must be paths, without queries and escapes";
    }
    if (!braces) continue;
    if (!schema::IsPathParameter(segment) || segment.find_first_of("{}", 1) != segment.size() - 1) {
      return "must have parameters as whole segments: /orders/{id}";
    }
    if (!parameters.insert(segment).second) return "must name each parameter once";
  }
  return {};
}

std::vector<std::string> Uris(RequestReader& reader, const std::string& org, bool prefixed) {
  auto uris = Texts(reader, "uris");
  if (uris.empty()) uris.emplace_back("/");
  for (std::string& uri : uris) {
    if (std::string fault = UriFault(uri); !fault.empty()) reader.Fault("uris", fault);
    bool has = uri == "/" + org || uri.starts_with("/" + org + "/");
    if (prefixed && !has) uri = "/" + org + uri;
  }
  return uris;
}

std::vector<std::string> Methods(RequestReader& reader) {
  static const std::set<std::string> known{"GET",   "HEAD",   "POST",   "PUT",
                                           "PATCH", "DELETE", "OPTIONS"};
  auto methods = Texts(reader, "methods");
  for (std::string& method : methods) {
    for (char& c : method) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (!known.contains(method)) {
      reader.Fault("methods", "must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
    }
  }
  return methods;
}

json::value Cors(RequestReader& reader, const json::object& body) {
  const auto* cors = body.if_contains("cors");
  if (cors == nullptr || cors->is_null()) return false;
  if (cors->is_bool()) return *cors;
  const auto* object = cors->if_object();
  if (object == nullptr) {
    reader.Fault("cors", "must be true, false or {origins, methods, headers, credentials}");
    return false;
  }
  RequestReader inner(*object, "cors");
  json::object out;
  for (const char* field : {"origins", "methods", "headers"}) {
    auto texts = Texts(inner, field);
    for (const auto& text : texts) {
      if (text.find_first_of("\r\n,") != std::string::npos) {
        inner.Fault(field, "must be texts without commas and line ends");
      }
    }
    if (inner.Has(field)) out[field] = ArrayOf(texts);
  }
  if (inner.Bool("credentials", false)) {
    const auto* origins = json::GetArray(out, "origins");
    bool any = origins == nullptr ||
               std::find(origins->begin(), origins->end(), json::value("*")) != origins->end();
    if (any) inner.Fault("credentials", "needs `origins` that are named");
    out["credentials"] = true;
  }
  inner.Allow({});
  reader.Take(inner);
  return out;
}

}  // namespace

Result<json::object> ApiDocument(const std::string& org, const json::object& body) {
  RequestReader reader(body);
  json::object out;
  auto name_of = [&](const char* field) {
    std::string name = reader.RequiredString(field);
    if (!name.empty() && !schema::IsObjectName(name)) {
      reader.Fault(field,
                   "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
    }
    out[field] = name;
  };
  name_of("name");
  out["kind"] = "API";
  name_of("function");
  auto hosts = Hosts(reader);
  out["hosts"] = ArrayOf(hosts);
  out["uris"] = ArrayOf(Uris(reader, org, hosts.empty()));
  out["methods"] = ArrayOf(Methods(reader));
  auto protocols = Texts(reader, "protocols");
  for (const auto& protocol : protocols) {
    if (protocol != "http" && protocol != "https") {
      reader.Fault("protocols", "must be http or https");
    }
  }
  out["protocols"] = ArrayOf(protocols);
  std::string authentication = reader.String("authentication", "public");
  if (authentication.empty()) authentication = "public";
  if (authentication != "public" && authentication != "key" && authentication != "jwt") {
    reader.Fault("authentication",
                 "must be public; key: an API key that may invoke the function; or jwt: a token "
                 "signed by a key of `jwt`");
  }
  out["authentication"] = authentication;
  if (authentication == "jwt") {
    schema::ReadApiJwt(reader);
    if (reader.ok()) out["jwt"] = *reader.Object("jwt");
  } else if (reader.Object("jwt") != nullptr) {
    reader.Fault("jwt", "needs `authentication: jwt`");
  }
  out["enabled"] = reader.Bool("enabled", false);
  out["cors"] = Cors(reader, body);
  if (!reader.String("tls").empty()) {
    reader.Fault("tls",
                 "must be empty: one certificate, of the gateway's settings, serves all endpoints");
  }
  out["tags"] = reader.Tags();
  reader.Allow({"id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime",
                "cors", "tls"});
  if (!reader.ok()) return reader.error();
  return out;
}

}  // namespace dispatch
