#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr char kPath[] = "/v1/function";

// Base64 of what function-manager takes, which one record carries.
constexpr size_t kMaxSourceText = 900'000;

bool CheckSource(Call& call, const json::object& body) {
  const auto* source = body.if_contains("source");
  if (source == nullptr || !source->is_string() || source->as_string().size() <= kMaxSourceText) {
    return true;
  }
  call.Fail({Code::kTooLarge,
             "source must be at most 640 KiB compressed: put dependencies into the image",
             false,
             {{"source", "must be at most 640 KiB compressed"}}});
  return false;
}

void Rollback(const CallPtr& call, Backend& backend) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  std::string name = call->request.Param("name");
  if (FindNamed(*call, backend.tables.functions, schema::kFunctionKind, kPath) == nullptr) return;
  for (const auto& [field, value] : *body) {
    if (field == "version" && value.is_int64()) continue;
    return call->Fail({Code::kUnprocessable,
                       "the body is {\"version\": NUMBER}",
                       false,
                       {{std::string(field), "must be the number of a version, and all"}}});
  }
  (*body)["name"] = name;
  backend.services.Change(call, {kFunctionManager, backend.tables.functions}, "function.rollback",
                          std::move(*body), [call](broker::RpcReply reply) {
                            json::object form =
                                reply.body.is_object() ? reply.body.as_object() : json::object();
                            call->AddHeader("ETag", EntityTag(json::GetInt(form, "revision")));
                            call->SendJson(200, json::value(std::move(form)));
                          });
}

void AddImageRoutes(Gateway& gateway, Backend& backend) {
  AddResource(gateway, backend.services,
              {.kind = schema::kBaseImageKind,
               .paths = {"/v1/baseimage"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true});
  AddResource(gateway, backend.services,
              {.kind = schema::kImageKind,
               .paths = {"/v1/image"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true});
}

}  // namespace

void AddFunctionRoutes(Gateway& gateway, Backend& backend) {
  AddImageRoutes(gateway, backend);
  AddResource(gateway, backend.services,
              {.kind = schema::kFunctionKind,
               .paths = {kPath, "/v1/functions"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true,
               .check_body = CheckSource});
  const Access write{Access::Check::kObject, {auth::kWrite}, schema::kFunctionKind};
  for (const char* path : {kPath, "/v1/functions"}) {
    gateway.Add({"POST", fmt::format("{}/{{name}}/rollback", path), write,
                 [&backend](const CallPtr& call) { Rollback(call, backend); }});
  }
}

}  // namespace dispatch::gateway
