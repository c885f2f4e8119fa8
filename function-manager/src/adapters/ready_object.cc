#include "function-manager/src/adapters/ready_object.h"

#include "broker-adapters/entities/entity_reply.h"

namespace dispatch {

void WriteReadyObject(const Loop& loop, pg::Pool& pool, const schema::Request& request,
                      const std::string& kind, const json::object& document,
                      std::function<Status(pg::Transaction&, const StoredEntity&)> check,
                      broker::RpcServer::Responder respond) {
  AnswerWithEntity(
      pool, request,
      [create = request.method.ends_with(".create"), kind, document, check = std::move(check),
       org = request.org, if_match = request.if_match, uuid = Uuid::V7(loop.Now()),
       now_s = ToMillis(loop.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        std::string name = json::GetString(document, "name");
        StoredEntity entity{kind, org, name, uuid, 0, document};
        json::value created = now_s;
        if (!create) {
          ASSIGN_OR_RETURN(entity, store.Lock(kind, org, name));
          created = entity.document["createdTime"];
          entity.document = document;
        }
        entity.document["status"] = "READY";
        entity.document["createdTime"] = created;
        entity.document["modifiedTime"] = now_s;
        if (check) RETURN_IF_ERROR(check(tx, entity));
        RETURN_IF_ERROR(create ? store.Insert(entity) : store.UpdateIfChanged(entity, if_match));
        return entity;
      },
      std::move(respond));
}

void DeleteObject(pg::Pool& pool, const schema::Request& request, const std::string& kind,
                  broker::RpcServer::Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  AnswerWithEntity(
      pool, request,
      [kind, org = request.org, name = json::GetString(*body, "name"),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kind, org, name));
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        return stored;
      },
      std::move(respond));
}

}  // namespace dispatch
