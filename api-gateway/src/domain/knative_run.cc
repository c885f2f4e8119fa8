#include "api-gateway/src/domain/knative_run.h"

#include "common/crypto.h"
#include "common/http/message.h"

namespace dispatch::gateway {

namespace {

Error Fault(const std::string& reason) {
  return {Code::kUnprocessable, "inputBytes " + reason, false, {{"inputBytes", reason}}};
}

std::string ContentTypeOf(const json::object& body) {
  const auto* context = json::GetObject(body, "httpContext");
  for (const auto& [name, value] : context != nullptr ? *context : json::object()) {
    if (!http::EqualsIgnoreCase(name, "Content-Type") || !value.is_string()) continue;
    std::string type(value.as_string());
    return type.substr(0, type.find(';'));
  }
  return "application/json";
}

}  // namespace

Result<bool> TakeInputBytes(json::object& body) {
  const auto* given = body.if_contains("inputBytes");
  if (given == nullptr || given->is_null()) {
    body.erase("inputBytes");
    return false;
  }
  if (!given->is_string()) return Fault("must be base64");
  std::string base64(given->as_string());
  auto bytes = crypto::Base64Decode(base64);
  if (!bytes.ok()) return Fault("must be base64");
  std::string type = ContentTypeOf(body);
  body.erase("inputBytes");
  if (bytes->empty()) {
    body["input"] = nullptr;
  } else if (type == "application/json" || type.ends_with("+json")) {
    auto input = json::Parse(*bytes, json::kBodyDepth);
    if (!input.ok()) return Fault("must be JSON, as Content-Type says: " + input.message());
    body["input"] = std::move(*input);
  } else {
    // A text that JSON cannot carry is no UTF-8.
    auto text = json::Parse(json::Serialize(json::value(*bytes)));
    body["input"] = text.ok() ? json::value(std::move(*bytes)) : json::value(base64);
  }
  return true;
}

json::object KnativeRunForm(json::object run) {
  json::object context;
  if (const auto* error = run.if_contains("error")) context["error"] = *error;
  if (const auto* logs = json::GetObject(run, "logs")) {
    context["logs"] = {{"stdout", logs->at("stdout")}, {"stderr", logs->at("stderr")}};
  }
  json::object output{{"context", std::move(context)}, {"payload", run["output"]}};
  run["outputBytes"] = crypto::Base64Encode(json::Serialize(json::value(std::move(output))));
  for (const char* time : {"executedTime", "finishedTime"}) {
    run[time] = json::GetInt(run, time) / 1'000'000'000;
  }
  return run;
}

}  // namespace dispatch::gateway
