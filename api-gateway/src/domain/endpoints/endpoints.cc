#include "api-gateway/src/domain/endpoints/endpoints.h"

#include <fmt/format.h>

#include <algorithm>

#include "api-gateway/src/domain/endpoints/endpoint_answer.h"
#include "api-gateway/src/domain/endpoints/endpoint_input.h"
#include "api-gateway/src/domain/error_table.h"
#include "api-gateway/src/domain/request_trace.h"
#include "api-gateway/src/domain/routes.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(310);
constexpr std::chrono::milliseconds kQueueing = std::chrono::seconds(60);
// What a request to function-manager may have in all, with room for its fields.
constexpr size_t kMaxInput = 1'900'000;

std::string SchemeOf(const http::Request& request, bool own_tls) {
  if (request.secure || own_tls) return request.secure ? "https" : "http";
  // TLS ends at the proxy in front.
  auto forwarded = request.headers.Get("X-Forwarded-Proto");
  return forwarded && http::EqualsIgnoreCase(*forwarded, "https") ? "https" : "http";
}

std::string Joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

void AddCors(const http::Request& request, const schema::Api& api, http::Response& response) {
  if (!api.cors) return;
  const auto& cors = *api.cors;
  bool any = std::find(cors.origins.begin(), cors.origins.end(), "*") != cors.origins.end();
  std::string origin = "*";
  if (!any) {
    auto asked = request.headers.Get("Origin");
    response.headers.Add("Vary", "Origin");
    if (!asked || std::find(cors.origins.begin(), cors.origins.end(), *asked) == cors.origins.end())
      return;
    origin = *asked;
  }
  response.headers.Set("Access-Control-Allow-Origin", origin);
  response.headers.Set("Access-Control-Allow-Methods", Joined(cors.methods));
  response.headers.Set("Access-Control-Allow-Headers", Joined(cors.headers));
  if (cors.credentials) response.headers.Set("Access-Control-Allow-Credentials", "true");
}

// What kept a run from being made. Words of function-manager's insides stay inside.
http::Response Failed(const Error& error) {
  if (error.code == Code::kNotFound) return EndpointFault(502, error.message);
  if (error.code == Code::kDeadlineExceeded) {
    return EndpointFault(504, "the function did not answer in time");
  }
  int status = HttpStatusOf(error.code);
  if (status < 500) return EndpointFault(status, error.message);
  if (log::Sometimes("endpoint.failed", 5)) {
    log::Warning("endpoint failed code={} reason=\"{}\"", CodeName(error.code), error.message);
  }
  auto response = EndpointFault(503, "the function cannot be run at the moment: try again");
  response.headers.Add("Retry-After", "2");
  return response;
}

std::unique_ptr<http::Response> Refusal(int status, std::string_view message) {
  return std::make_unique<http::Response>(EndpointFault(status, message));
}

// RFC 6750, section 3: what was wrong is told to who showed something.
std::unique_ptr<http::Response> Unauthenticated(const http::Request& request, std::string reason) {
  auto response = Refusal(401, reason);
  std::replace(reason.begin(), reason.end(), '"', '\'');
  response->headers.Add(
      "WWW-Authenticate",
      request.headers.Has("Authorization")
          ? fmt::format(R"(Bearer error="invalid_token", error_description="{}")", reason)
          : "Bearer");
  return response;
}

// The claims of the request's token.
Result<json::object> CheckToken(const http::Request& request, const schema::ApiJwt& rules,
                                WallTime now) {
  constexpr std::string_view kScheme = "Bearer ";
  auto field = request.headers.Get("Authorization");
  if (!field || !http::EqualsIgnoreCase(field->substr(0, kScheme.size()), kScheme)) {
    return {Code::kUnauthenticated,
            "a signed token is required: send 'Authorization: Bearer <JSON Web Token>'"};
  }
  ASSIGN_OR_RETURN(auto token, jwt::Token::Parse(field->substr(kScheme.size())));
  Status checked = token.Check(rules.keys, rules.rules, now);
  if (!checked.ok()) return checked;
  return token.claims();
}

void Count(int status) {
  metrics::GetCounter("dispatch_gateway_endpoint_requests_total",
                      "Requests to functions' endpoints by status",
                      {{"status", std::to_string(status)}})
      .Add();
}

void Trace(const RequestTrace& trace, const http::Request& request,
           const EndpointTable::Endpoint* api, int status) {
  Span* span = trace.span();
  if (span == nullptr) return;
  if (api != nullptr) {
    span->Set("dispatch.org", api->org);
    span->Set("dispatch.api", api->name);
    span->Set("faas.invoked_name", api->function);
  }
  trace.End(request, api == nullptr ? "" : api->name, status);
}

}  // namespace

std::unique_ptr<http::Response> Endpoints::Refuse(const http::Request& request,
                                                  const EndpointTable::Endpoint& api,
                                                  const std::string& scheme,
                                                  std::optional<json::object>& claims) const {
  const auto& protocols = api.protocols;
  if (!protocols.empty() &&
      std::find(protocols.begin(), protocols.end(), scheme) == protocols.end()) {
    return Refusal(400,
                   scheme == "http" ? "Please use HTTPS protocol" : "Please use HTTP protocol");
  }
  if (api.authentication == "public") return nullptr;
  if (api.authentication == "jwt") {
    auto shown = CheckToken(request, api.jwt, loop_.Now());
    if (!shown.ok()) return Unauthenticated(request, shown.message());
    claims = std::move(*shown);
    return nullptr;
  }
  auto principal = directory_.Authenticate(request.headers.Get("Authorization"));
  if (!principal.ok()) return Unauthenticated(request, principal.message());
  const Principal& who = **principal;
  bool may = (who.org == api.org || who.global) &&
             who.permissions.Allows(auth::kInvoke,
                                    fmt::format("{}/{}", schema::kFunctionKind, api.function));
  return may ? nullptr : Refusal(403, "the key may not invoke this function");
}

void Endpoints::Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
  auto match = table_.Find(request.method, request.headers.Get("Host").value_or(""), request.path);
  RequestTrace trace(options_.tracing, request);
  auto answer =
      [api = match.api, writer, trace, traced = trace.span() == nullptr ? http::Request() : request,
       asked = request.headers.Has("Origin") ? request : http::Request()](http::Response response) {
        if (api != nullptr) AddCors(asked, *api, response);
        Count(response.status);
        Trace(trace, traced, api.get(), response.status);
        writer->Send(std::move(response));
      };
  if (match.api == nullptr) return answer(EndpointFault(404, "no API found with those values"));
  const EndpointTable::Endpoint& api = *match.api;
  if (request.method == "OPTIONS") return answer({});
  std::string scheme = SchemeOf(request, options_.own_tls);
  std::optional<json::object> claims;
  if (auto refusal = Refuse(request, api, scheme, claims)) return answer(std::move(*refusal));
  auto input = EndpointInput(request);
  if (!input.ok()) return answer(EndpointFault(HttpStatusOf(input.code()), input.message()));
  auto blocking_field = request.headers.Get("x-dispatch-blocking");
  bool blocking = !blocking_field || !http::EqualsIgnoreCase(*blocking_field, "false");
  json::object run{{"blocking", blocking},
                   {"input", std::move(*input)},
                   {"httpContext", HttpContext(request, scheme, match.params,
                                               api.authentication != "public", claims)}};
  schema::Request call;
  call.method = "run.create";
  call.org = api.org;
  call.principal = {"endpoint", api.name, api.org};
  call.body =
      json::Serialize(json::object{{"functionName", api.function}, {"run", std::move(run)}});
  if (call.body.size() > kMaxInput) {
    return answer(EndpointFault(413, "request body is too large: at most 1.9 MB reach a function"));
  }
  call.traceparent = trace.Traceparent(request);
  rpc_.Call(kFunctionManager, std::move(call), blocking ? kTimeout : kQueueing,
            [answer, blocking](const Result<broker::RpcReply>& reply) {
              if (!reply.ok()) return answer(Failed(reply.error()));
              const auto* form = reply->body.if_object();
              answer(blocking && form != nullptr ? EndpointAnswer(*form) : http::Response());
            });
}

}  // namespace dispatch::gateway
