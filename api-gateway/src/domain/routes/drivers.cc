#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/driver_types.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"
#include "schema/webhook_token.h"

namespace dispatch::gateway {

namespace {

constexpr char kDrivers[] = "/v1/event/drivers";
constexpr char kTypes[] = "/v1/event/drivertypes";
constexpr int64_t kMaxLines = 1000;

void RotateToken(const CallPtr& call, Backend& backend) {
  json::object body;
  if (!call->request.body.empty()) {
    auto given = call->Body();
    if (!given.ok()) return call->Fail(given.error());
    body = std::move(*given);
  }
  body["name"] = call->request.Param("name");
  backend.services.Change(call, {kEventManager, backend.tables.events}, "driver.rotate",
                          std::move(body), [call](broker::RpcReply reply) {
                            json::object form =
                                reply.body.is_object() ? reply.body.as_object() : json::object();
                            call->AddHeader("ETag", EntityTag(json::GetInt(form, "revision")));
                            call->SendJson(200, json::value(std::move(form)));
                          });
}

void Logs(const CallPtr& call, Backend& backend) {
  json::object body{{"name", call->request.Param("name")}};
  auto limit = ReadLimit(call->request, kMaxLines);
  if (!limit.ok()) return call->Fail(limit.error());
  if (*limit) body["limit"] = **limit;
  if (auto since = call->request.Query("since")) {
    auto time = schema::ParseRfc3339(*since);
    if (!time.ok()) {
      return call->Fail({Code::kInvalidArgument,
                         "since: give a time of RFC 3339",
                         false,
                         {{"since", "must be a time of RFC 3339"}}});
    }
    body["sinceMs"] = ToMillis(*time);
  }
  backend.services.Ask(call, kEventManager, "driver.log", std::move(body),
                       [call](const broker::RpcReply& reply) {
                         call->SendJson(200, reply.body.is_array() ? reply.body : json::array());
                       });
}

std::string TokenOf(const http::Request& request) {
  if (auto token = request.Query("token")) return *token;
  std::string_view field = request.headers.Get("Authorization").value_or("");
  constexpr std::string_view kScheme = "Bearer ";
  if (field.size() <= kScheme.size()) return {};
  bool bearer = http::EqualsIgnoreCase(std::string(field.substr(0, kScheme.size())), kScheme);
  return bearer ? std::string(field.substr(kScheme.size())) : std::string();
}

std::string ConfigOf(const json::object& driver, std::string_view key, std::string fallback) {
  const auto* config = json::GetArray(driver, "config");
  for (const auto& entry : config != nullptr ? *config : json::array()) {
    const auto* object = entry.if_object();
    if (object != nullptr && json::GetString(*object, "key") == key) {
      fallback = json::GetString(*object, "value", fallback);
    }
  }
  return fallback;
}

// Pushed by somebody who has the URL with its token and no key. An unknown driver and a wrong token
// are told alike.
void Ingest(CallPtr call, Backend& backend) {
  if (!backend.tables.events.ready()) {
    return call->Fail({Code::kUnavailable, "the gateway is still reading drivers: try again"});
  }
  std::string org = call->request.Param("org");
  std::string name = call->request.Param("name");
  auto driver = backend.tables.events.Find(schema::kDriverKind, org + "/" + name);
  bool known = driver != nullptr &&
               schema::IsWebhookToken(backend.service_key, driver->uuid.ToString(),
                                      driver->document, TokenOf(call->request), backend.loop.Now());
  if (!known) {
    return call->Fail({Code::kUnauthenticated,
                       "the token is missing, wrong or not valid any more: use the URL that the "
                       "driver was created with, or rotate its token"});
  }
  call->org = org;
  std::string topic = ConfigOf(driver->document, "topic", "default");
  auto type = backend.tables.events.Find(schema::kDriverTypeKind,
                                         org + "/" + json::GetString(driver->document, "type"));
  std::string event_type = "webhook.event";
  if (type != nullptr) {
    event_type = ConfigOf(type->document, "type", event_type);
    topic = ConfigOf(driver->document, "topic", ConfigOf(type->document, "topic", "default"));
  }
  event_type = ConfigOf(driver->document, "type", event_type);
  if (backend.tables.events.Find(schema::kTopicKind, org + "/" + topic) == nullptr) {
    return call->Fail(
        {Code::kUnavailable, fmt::format("topic {} of the driver does not exist", topic)});
  }
  // What is no CloudEvent becomes the data of one.
  std::erase_if(call->request.query, [](const auto& field) {
    return field.first != "type" && field.first != "subject";
  });
  if (!call->request.Query("type")) call->request.query.emplace_back("type", event_type);
  auto intake =
      ReadEvents(call->request, fmt::format("/{}/drivers/{}", org, name), backend.loop.Now());
  if (!intake.ok()) return call->Fail(intake.error());
  backend.publisher.Publish(std::move(call), topic, std::move(*intake));
}

}  // namespace

void AddDriverRoutes(Gateway& gateway, Backend& backend) {
  const Owner owner{kEventManager, backend.tables.events};
  Resource types{.kind = schema::kDriverTypeKind,
                 .paths = {kTypes},
                 .owner = owner,
                 .delete_shows_object = true};
  for (std::string_view name : schema::kBuiltInDriverTypes) {
    types.built_in.emplace_back(name, schema::BuiltInDriverType(name));
  }
  AddResource(gateway, backend.services, std::move(types));
  AddResource(gateway, backend.services,
              {.kind = schema::kDriverKind,
               .paths = {kDrivers},
               .owner = owner,
               .delete_shows_object = true});
  const Access write{Access::Check::kObject, {auth::kWrite}, schema::kDriverKind};
  const Access read{Access::Check::kObject, {auth::kRead}, schema::kDriverKind};
  gateway.Add({"POST", fmt::format("{}/{{name}}/rotate-token", kDrivers), write,
               [&backend](const CallPtr& call) { RotateToken(call, backend); }});
  gateway.Add({"GET", fmt::format("{}/{{name}}/logs", kDrivers), read,
               [&backend](const CallPtr& call) { Logs(call, backend); }});
  gateway.Add(
      {"POST", "/v1/event/ingest/{org}/{name}", {Access::Check::kOpen}, [&backend](CallPtr call) {
         Ingest(std::move(call), backend);
       }});
}

}  // namespace dispatch::gateway
