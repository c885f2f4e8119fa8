#include "api-gateway/src/domain/endpoints/endpoint_answer.h"

#include <algorithm>
#include <string>

#include "api-gateway/src/domain/run_answer.h"
#include "common/crypto.h"

namespace dispatch::gateway {

namespace {

// Of the connection, which is ours.
bool IsReserved(std::string_view name) {
  for (const char* reserved : {"connection", "content-length", "transfer-encoding", "keep-alive",
                               "upgrade", "trailer", "te", "date", "server"}) {
    if (http::EqualsIgnoreCase(name, reserved)) return true;
  }
  return false;
}

bool IsFieldName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool IsFieldValue(std::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](unsigned char c) { return (c >= 0x20 && c != 0x7f) || c == '\t'; });
}

http::Response Chosen(const json::object& chosen) {
  const auto fault = [](std::string_view what) {
    return EndpointFault(502, "the function's httpResponse is not one: " + std::string(what));
  };
  http::Response out;
  out.status = static_cast<int>(json::GetInt(chosen, "status", 200));
  if (out.status < 200 || out.status > 599) return fault("status must be from 200 to 599");
  const auto* headers = json::GetObject(chosen, "headers");
  for (const auto& field : headers != nullptr ? *headers : json::object()) {
    std::string_view name = field.key();
    if (!IsFieldName(name) || IsReserved(name)) {
      return fault("'" + std::string(name) + "' is no field that a function may set");
    }
    json::array one{field.value()};
    const auto& values = field.value().is_array() ? field.value().get_array() : one;
    for (const auto& value : values) {
      if (!value.is_string() || !IsFieldValue(value.get_string())) {
        return fault("fields must be texts of one line");
      }
      out.headers.Add(std::string(name), std::string(value.get_string()));
    }
  }
  const auto* body = chosen.if_contains("body");
  const char* type = "application/json";
  if (body != nullptr && body->is_string()) {
    type = "text/plain; charset=utf-8";
    out.body = body->get_string();
    if (json::GetBool(chosen, "base64")) {
      type = "application/octet-stream";
      auto bytes = crypto::Base64Decode(out.body);
      if (!bytes.ok()) return fault("body must be base64");
      out.body = std::move(*bytes);
    }
  } else if (body != nullptr && !body->is_null()) {
    out.body = json::Serialize(*body);
  }
  if (!out.body.empty() && !out.headers.Has("Content-Type")) out.headers.Add("Content-Type", type);
  return out;
}

}  // namespace

http::Response EndpointFault(int status, std::string_view message) {
  return http::Response::Json(status, json::Serialize(json::object{{"message", message}}));
}

http::Response EndpointAnswer(const json::object& run) {
  int status = RunStatusOf(run);
  if (status != 200) {
    const auto* error = json::GetObject(run, "error");
    return EndpointFault(status == 422 ? 400 : status, json::GetString(*error, "message"));
  }
  const auto* output = run.if_contains("output");
  if (output == nullptr || output->is_null() || *output == json::value("")) return {};
  if (const auto* object = output->if_object(); object != nullptr && object->size() == 1) {
    if (const auto* chosen = json::GetObject(*object, "httpResponse")) return Chosen(*chosen);
  }
  return http::Response::Json(200, json::Serialize(*output));
}

}  // namespace dispatch::gateway
