#include "function-manager/src/adapters/application_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

using schema::kApplicationKind;

namespace {

Result<json::object> ApplicationDocument(const json::object& body) {
  schema::RequestReader reader(body);
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  json::object out{{"name", name}, {"kind", "Application"}, {"tags", reader.Tags()}};
  reader.Allow(
      {"id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime"});
  if (!reader.ok()) return reader.error();
  return out;
}

}  // namespace

void ApplicationCommands::Register(broker::RpcServer& server) {
  for (const char* method : {"application.create", "application.update"}) {
    server.HandleChange(
        method, AnsweringRepeats(pool_, [this](const auto& r, auto d) { Write(r, std::move(d)); }));
  }
  server.HandleChange("application.delete", AnsweringRepeats(pool_, [this](const auto& r, auto d) {
                        Delete(r, std::move(d));
                      }));
}

ApplicationCommands::Responder ApplicationCommands::Committing(Responder respond) {
  return [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
    committed_();
    respond(std::move(reply));
  };
}

void ApplicationCommands::Write(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = ApplicationDocument(*body);
  if (!document.ok()) return respond(document.error());
  bool create = request.method == "application.create";
  AnswerWithEntity(
      pool_, request,
      [create, org = request.org, if_match = request.if_match, document = *document,
       uuid = Uuid::V7(loop_.Now()),
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        std::string name = json::GetString(document, "name");
        StoredEntity entity{kApplicationKind, org, name, uuid, 0, document};
        json::value created = now_s;
        if (!create) {
          ASSIGN_OR_RETURN(entity, store.Lock(kApplicationKind, org, name));
          created = entity.document["createdTime"];
          entity.document = document;
        }
        entity.document["status"] = "READY";
        entity.document["createdTime"] = created;
        entity.document["modifiedTime"] = now_s;
        RETURN_IF_ERROR(create ? store.Insert(entity) : store.UpdateIfChanged(entity, if_match));
        return entity;
      },
      Committing(std::move(respond)));
}

void ApplicationCommands::Delete(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = json::GetString(*body, "name"),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kApplicationKind, org, name));
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        return stored;
      },
      Committing(std::move(respond)));
}

}  // namespace dispatch
