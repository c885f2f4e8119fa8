#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/driver_types.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

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
}

}  // namespace dispatch::gateway
