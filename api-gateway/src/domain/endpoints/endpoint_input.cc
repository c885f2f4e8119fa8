#include "api-gateway/src/domain/endpoints/endpoint_input.h"

#include <fmt/format.h>

#include <cctype>

#include "common/crypto.h"
#include "schema/cloudevents_text.h"

namespace dispatch::gateway {

namespace {

constexpr size_t kMostFields = 1'000;

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// JSON holds only UTF-8: other bytes as base64.
json::value TextOf(std::string_view bytes) {
  json::value text(bytes);
  if (json::Parse(json::Serialize(text)).ok()) return text;
  return json::value(crypto::Base64Encode(bytes));
}

json::value MapOf(const Pairs& pairs) {
  json::object out;
  for (const auto& [key, value] : pairs) {
    std::string name(TextOf(key).as_string());
    auto* known = out.if_contains(name);
    if (known == nullptr) {
      out[name] = TextOf(value);
    } else if (auto* several = known->if_array()) {
      several->push_back(TextOf(value));
    } else {
      *known = json::array{*known, TextOf(value)};
    }
  }
  return out;
}

int HexOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Result<std::string> FormText(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    int high = i + 2 < text.size() ? HexOf(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? HexOf(text[i + 2]) : -1;
    if (high < 0 || low < 0) return {Code::kInvalidArgument, "request body is not a form"};
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<json::value> UrlEncoded(std::string_view body) {
  Pairs pairs;
  while (!body.empty()) {
    std::string_view field = body.substr(0, body.find('&'));
    body.remove_prefix(std::min(body.size(), field.size() + 1));
    if (field.empty()) continue;
    if (pairs.size() >= kMostFields) {
      return {Code::kInvalidArgument, "request body has more than 1000 fields"};
    }
    size_t equals = field.find('=');
    ASSIGN_OR_RETURN(auto key, FormText(field.substr(0, equals)));
    ASSIGN_OR_RETURN(
        auto value, FormText(equals == field.npos ? std::string_view() : field.substr(equals + 1)));
    pairs.emplace_back(std::move(key), std::move(value));
  }
  return MapOf(pairs);
}

// The value of `name` among "; name=value" and "; name="value"".
std::string ParameterOf(std::string_view field, std::string_view name) {
  std::string wanted = Lower(name) + "=";
  for (size_t at = field.find(';'); at != field.npos; at = field.find(';', at + 1)) {
    std::string_view rest = field.substr(at + 1);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (!http::EqualsIgnoreCase(rest.substr(0, wanted.size()), wanted)) continue;
    rest.remove_prefix(wanted.size());
    if (rest.starts_with('"')) {
      rest.remove_prefix(1);
      return std::string(rest.substr(0, rest.find('"')));
    }
    rest = rest.substr(0, rest.find(';'));
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    return std::string(rest);
  }
  return {};
}

// RFC 7578. Files are left out, as VMware's gateways did.
Result<json::value> Multipart(std::string_view body, std::string_view type) {
  const Error fault{Code::kInvalidArgument, "request body is not a multipart form"};
  std::string boundary = ParameterOf(type, "boundary");
  if (boundary.empty() || boundary.size() > 70) return fault;
  std::string delimiter = "--" + boundary;
  if (!body.starts_with(delimiter)) return fault;
  body.remove_prefix(delimiter.size());
  Pairs pairs;
  for (size_t parts = 0; !body.starts_with("--"); ++parts) {
    if (parts >= kMostFields || !body.starts_with("\r\n")) return fault;
    body.remove_prefix(2);
    size_t head_end = body.find("\r\n\r\n");
    if (head_end == body.npos) return fault;
    std::string_view head = body.substr(0, head_end);
    body.remove_prefix(head_end + 4);
    size_t end = body.find("\r\n" + delimiter);
    if (end == body.npos) return fault;
    std::string_view content = body.substr(0, end);
    body.remove_prefix(end + 2 + delimiter.size());
    std::string_view disposition;
    while (!head.empty()) {
      std::string_view line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(std::min(head.size(), line.size() + 2));
      if (Lower(line.substr(0, 20)) == "content-disposition:") disposition = line;
    }
    if (disposition.find("filename") != disposition.npos) continue;
    std::string name = ParameterOf(disposition, "name");
    if (name.empty()) return fault;
    pairs.emplace_back(std::move(name), std::string(content));
  }
  return MapOf(pairs);
}

}  // namespace

Result<json::value> EndpointInput(const http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return MapOf(request.query);
  if (request.body.empty()) return json::value(json::object());
  auto type = request.headers.Get("Content-Type");
  if (!type || type->empty()) return TextOf(request.body);
  if (cloudevents::MediaType(*type).IsJson()) {
    auto value = json::Parse(request.body, json::kBodyDepth);
    if (!value.ok()) return {Code::kInvalidArgument, "request body is not json"};
    return value;
  }
  std::string media = Lower(type->substr(0, type->find(';')));
  while (media.ends_with(' ')) media.pop_back();
  if (media == "application/x-www-form-urlencoded") return UrlEncoded(request.body);
  if (media == "multipart/form-data") return Multipart(request.body, *type);
  return {Code::kUnsupportedMedia, fmt::format("request body type is not supported: {}", media)};
}

json::object HttpContext(const http::Request& request, const std::string& scheme,
                         const std::vector<std::pair<std::string, std::string>>& params,
                         bool hide_authorization, const std::optional<json::object>& claims) {
  json::object out;
  for (const auto& [name, value] : request.headers) {
    std::string key = Lower(name);
    if (hide_authorization && key == "authorization") continue;
    if (key == "claims") continue;  // a field must not pass for what a token says
    auto* known = out.if_contains(key);
    if (known == nullptr) {
      out[key] = TextOf(value);
    } else {
      known->as_string() += ", " + value;
    }
  }
  size_t query = request.target.find('?');
  const std::string protocol = "HTTP/1.1";
  auto both = [&](const std::string& name, json::value value) {
    std::string dashed = name;
    for (char& c : dashed) c = c == '_' ? '-' : c;
    out[dashed] = value;
    out[name] = std::move(value);
  };
  out["args"] = TextOf(query == std::string::npos ? "" : request.target.substr(query + 1));
  out["request"] = TextOf(fmt::format("{} {} {}", request.method, request.target, protocol));
  out["scheme"] = scheme;
  out["uri"] = TextOf(request.path);
  out["method"] = request.method;
  both("request_uri", TextOf(request.target));
  both("server_protocol", json::value(protocol));
  both("upstream_uri", TextOf(request.path));
  json::object values;
  for (const auto& [name, value] : params) values[name] = TextOf(value);
  out["params"] = std::move(values);
  if (claims) out["claims"] = *claims;
  return out;
}

}  // namespace dispatch::gateway
