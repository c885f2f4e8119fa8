#include "broker-adapters/entities/entity_reply.h"

#include "broker-adapters/entities/idempotency.h"

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

void AnswerWithEntity(pg::Pool& pool, const schema::Request& request,
                      std::function<Result<StoredEntity>(pg::Transaction&)> work,
                      broker::RpcServer::Responder respond) {
  pool.Query<broker::RpcReply>(
      [request, work = std::move(work)](pg::Transaction& tx) {
        return Once(tx, request, [&]() -> Result<broker::RpcReply> {
          ASSIGN_OR_RETURN(auto entity, work(tx));
          return ReplyOf(entity);
        });
      },
      std::move(respond));
}

broker::RpcServer::Responder Committing(std::function<void()> committed,
                                        broker::RpcServer::Responder respond) {
  return [committed = std::move(committed),
          respond = std::move(respond)](Result<broker::RpcReply> reply) {
    committed();
    respond(std::move(reply));
  };
}

}  // namespace dispatch
