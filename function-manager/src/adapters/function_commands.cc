#include "function-manager/src/adapters/function_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/entities/idempotency.h"
#include "function-manager/src/adapters/run_rows.h"
#include "function-manager/src/adapters/usage.h"
#include "function-manager/src/domain/function_request.h"
#include "schema/objects.h"

namespace dispatch {

using schema::kFunctionKind;

void FunctionCommands::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("function.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  handle("function.update", [this](const auto& r, auto d) { Update(r, std::move(d)); });
  handle("function.delete", [this](const auto& r, auto d) { Delete(r, std::move(d)); });
}

FunctionCommands::Responder FunctionCommands::Committing(Responder respond) {
  return [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
    committed_();
    respond(std::move(reply));
  };
}

void FunctionCommands::Create(const schema::Request& request, Responder respond) {
  auto document = FunctionDocument(request.body);
  if (!document.ok()) return respond(document.error());
  StoredEntity entity;
  entity.kind = kFunctionKind;
  entity.org = request.org;
  entity.name = json::GetString(*document, "name");
  entity.uuid = Uuid::V7(loop_.Now());
  entity.document = std::move(*document);
  entity.document["status"] = "READY";
  entity.document["createdTime"] = ToMillis(loop_.Now()) / 1000;
  entity.document["modifiedTime"] = ToMillis(loop_.Now()) / 1000;
  AnswerWithEntity(
      pool_, request,
      [entity](pg::Transaction& tx) -> Result<StoredEntity> {
        StoredEntity stored = entity;
        RETURN_IF_ERROR(EntityStore(tx).Insert(stored));
        return stored;
      },
      Committing(std::move(respond)));
}

void FunctionCommands::Update(const schema::Request& request, Responder respond) {
  auto document = FunctionDocument(request.body);
  if (!document.ok()) return respond(document.error());
  AnswerWithEntity(
      pool_, request,
      [org = request.org, if_match = request.if_match, document = *document,
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored,
                         store.Lock(kFunctionKind, org, json::GetString(document, "name")));
        json::object next = document;
        next["status"] = "READY";
        next["createdTime"] = stored.document.at("createdTime");
        next["modifiedTime"] = now_s;
        stored.document = std::move(next);
        RETURN_IF_ERROR(store.UpdateIfChanged(stored, if_match));
        return stored;
      },
      Committing(std::move(respond)));
}

void FunctionCommands::Delete(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string function = json::GetString(*body, "name");
  auto uses = [function](const json::object& subscription) {
    return json::GetString(subscription, "function") == function;
  };
  FindUser(loop_, subscriptions_, request.org, uses,
           [this, request, function, respond = std::move(respond)](const std::string& user) {
             if (!user.empty()) {
               return respond(Error{Code::kConflict, "function '" + function +
                                                         "' is used by subscription '" + user +
                                                         "'; delete that first"});
             }
             Remove(request, function, respond);
           });
}

void FunctionCommands::Remove(const schema::Request& request, const std::string& function,
                              Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = function,
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kFunctionKind, org, name));
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        RETURN_IF_ERROR(DeleteRunsOf(tx, stored.uuid));
        return stored;
      },
      Committing(std::move(respond)));
}

}  // namespace dispatch
