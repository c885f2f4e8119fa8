#include "cli/src/api.h"

#include <fmt/format.h>

#include "cli/src/output.h"

namespace dispatch::cli {

namespace {

Code CodeOf(int status) {
  switch (status) {
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 409:
      return Code::kAlreadyExists;
    case 412:
      return Code::kPreconditionFailed;
    case 429:
    case 503:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

std::string RemedyFor(const ApiAnswer& answer) {
  switch (answer.status) {
    case 401:
      return "give a valid key with --token, DISPATCH_TOKEN or `dispatch context set NAME --token "
             "KEY`";
    case 412:
      return "somebody changed it meanwhile: run the command again";
    case 429:
    case 503: {
      auto after = answer.headers.Get("Retry-After");
      return after ? fmt::format("try again in {} s", *after) : "try again";
    }
    default:
      return "";
  }
}

}  // namespace

Error ErrorOf(const ApiAnswer& answer) {
  Error error{CodeOf(answer.status), "", answer.status == 429 || answer.status == 503};
  auto body = json::ParseObject(answer.body);
  if (body.ok()) error.message = json::GetString(*body, "message");
  if (error.message.empty()) {
    error.message = fmt::format("HTTP {} {}", answer.status, Printable(answer.body.substr(0, 200)));
    if (!body.ok()) error.message += " (is this the address of Dispatch's API?)";
  }
  if (body.ok()) {
    const auto* details = json::GetArray(*body, "details");
    for (const auto& element : details != nullptr ? *details : json::array()) {
      const auto* detail = element.if_object();
      if (detail == nullptr) continue;
      std::string reason = json::GetString(*detail, "reason");
      if (error.message.find(reason) != std::string::npos) continue;
      error.message += fmt::format("\n  {}: {}", json::GetString(*detail, "field"), reason);
    }
  }
  std::string remedy = RemedyFor(answer);
  if (!remedy.empty()) error.message += "\n" + remedy;
  return error;
}

Result<json::value> CallJson(Api& api, const std::string& method, const std::string& path,
                             const json::value& body, http::Headers headers) {
  ApiRequest request{.method = method, .path = path, .headers = std::move(headers)};
  if (!body.is_null()) {
    request.headers.Set("Content-Type", "application/json");
    request.body = json::Serialize(body);
  }
  ASSIGN_OR_RETURN(ApiAnswer answer, api.Send(request));
  if (answer.body.empty()) return json::value(nullptr);
  auto parsed = json::Parse(answer.body);
  if (parsed.ok()) return parsed;
  return Error{
      Code::kInternal,
      fmt::format("{} {} answered what is no JSON (is this the address of Dispatch's API?)", method,
                  path)};
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

}  // namespace dispatch::cli
