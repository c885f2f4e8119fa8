#include "broker-adapters/entities/entity_reply.h"

namespace dispatch {

json::object ApiForm(const StoredEntity& entity) {
  json::object form = entity.document;
  form.erase("internal");
  form["id"] = entity.uuid.ToString();
  form["revision"] = entity.version;
  return form;
}

broker::RpcReply ReplyOf(const StoredEntity& entity) {
  return {ApiForm(entity), entity.kind, entity.Key(), entity.version};
}

void AnswerWithEntity(pg::Pool& pool, std::function<Result<StoredEntity>(pg::Transaction&)> work,
                      broker::RpcServer::Responder respond) {
  pool.Query<StoredEntity>(std::move(work),
                           [respond = std::move(respond)](Result<StoredEntity> entity) {
                             if (!entity.ok()) return respond(entity.error());
                             respond(ReplyOf(*entity));
                           });
}

}  // namespace dispatch
