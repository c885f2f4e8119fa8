#include "function-manager/src/adapters/api_commands.h"

#include <fmt/format.h>

#include "broker-adapters/entities/idempotency.h"
#include "function-manager/src/adapters/ready_object.h"
#include "function-manager/src/domain/api_request.h"
#include "schema/api_object.h"

namespace dispatch {

using schema::kApiKind;

namespace {

// One change at a time, so that two cannot take the same path.
constexpr char kLockApis[] = "select pg_advisory_xact_lock(hashtext('dispatch.apis'))";

Status CheckConflicts(pg::Transaction& tx, const StoredEntity& entity) {
  RETURN_IF_ERROR(tx.Exec(kLockApis).status());
  ASSIGN_OR_RETURN(auto all, EntityStore(tx).List(kApiKind, ""));
  auto api = schema::ParseApi(entity.org, entity.name, entity.document);
  for (const StoredEntity& other : all) {
    if (other.org == entity.org && other.name == entity.name) continue;
    if (!schema::Conflict(api, schema::ParseApi(other.org, other.name, other.document))) continue;
    // Another organisation's names are its own.
    return {Code::kConflict,
            other.org == entity.org
                ? fmt::format("api '{}' has the same uris, methods and hosts: change one of them",
                              other.name)
                : "another organisation has one of these hosts, or serves one of these uris below "
                  "its name: change hosts or uris"};
  }
  return {};
}

}  // namespace

void ApiCommands::Register(broker::RpcServer& server) {
  for (const char* method : {"api.create", "api.update"}) {
    server.HandleChange(
        method, AnsweringRepeats(pool_, [this](const auto& r, auto d) { Write(r, std::move(d)); }));
  }
  server.HandleChange("api.delete", AnsweringRepeats(pool_, [this](const auto& r, auto d) {
                        Delete(r, std::move(d));
                      }));
}

ApiCommands::Responder ApiCommands::Committing(Responder respond, const char* status) {
  return [this, status, respond = std::move(respond)](Result<broker::RpcReply> reply) {
    committed_();
    if (reply.ok() && reply->body.is_object()) reply->body.as_object()["status"] = status;
    respond(std::move(reply));
  };
}

void ApiCommands::Write(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = ApiDocument(request.org, *body);
  if (!document.ok()) return respond(document.error());
  bool create = request.method == "api.create";
  WriteReadyObject(loop_, pool_, request, kApiKind, *document, CheckConflicts,
                   Committing(std::move(respond), create ? "CREATING" : "UPDATING"));
}

void ApiCommands::Delete(const schema::Request& request, Responder respond) {
  DeleteObject(pool_, request, kApiKind, Committing(std::move(respond), "DELETING"));
}

}  // namespace dispatch
