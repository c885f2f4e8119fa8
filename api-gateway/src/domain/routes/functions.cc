#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr char kPath[] = "/v1/function";

bool CheckSource(Call& call, const json::object& body) {
  if (body.contains("sourceDigest")) {
    call.Fail({Code::kUnprocessable,
               "sourceDigest is not a field of this object",
               false,
               {{"sourceDigest", "is not a field of this object"}}});
    return false;
  }
  if (json::GetString(body, "source").size() <= kMaxSourceText) return true;
  const char* reason = "must be at most 16 MiB compressed: put dependencies into the image";
  call.Fail({Code::kTooLarge, fmt::format("source {}", reason), false, {{"source", reason}}});
  return false;
}

// A source that one request cannot carry goes first, and its digest in its place.
void StageSource(Backend& backend, const CallPtr& call, json::object body, Resource::GoOn go_on) {
  auto* source = body.if_contains("source");
  if (source == nullptr || !source->is_string() || source->as_string().size() <= kSourcePiece) {
    return go_on(std::move(body));
  }
  std::string text(source->as_string());
  body.erase("source");
  call->request.body = {};  // its text is large, and nobody reads it again
  backend.source_uploads.Send(
      call, std::move(text),
      [body = std::move(body), go_on = std::move(go_on)](const std::string& digest) mutable {
        body["sourceDigest"] = digest;
        go_on(std::move(body));
      });
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
               .check_body = CheckSource,
               .stage = [&backend](const CallPtr& call, json::object body, Resource::GoOn go_on) {
                 StageSource(backend, call, std::move(body), std::move(go_on));
               }});
  const Access write{Access::Check::kObject, {auth::kWrite}, schema::kFunctionKind};
  for (const char* path : {kPath, "/v1/functions"}) {
    gateway.Add({"POST", fmt::format("{}/{{name}}/rollback", path), write,
                 [&backend](const CallPtr& call) { Rollback(call, backend); }});
  }
}

}  // namespace dispatch::gateway
