#pragma once

#include <functional>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"

namespace dispatch {

/// The API form of an entity: its document without what is internal, with `id` and `revision`.
json::object ApiForm(const StoredEntity& entity);

/// The reply to a mutation of `entity`: its API form, and its version for read-your-writes.
broker::RpcReply ReplyOf(const StoredEntity& entity);

/// Runs `work` in a transaction of the pool, once for an Idempotency-Key, and answers with the
/// entity that it returns.
void AnswerWithEntity(pg::Pool& pool, const schema::Request& request,
                      std::function<Result<StoredEntity>(pg::Transaction&)> work,
                      broker::RpcServer::Responder respond);

/// Tells `committed` of an answer before it goes out: what was written is to be relayed now.
broker::RpcServer::Responder Committing(std::function<void()> committed,
                                        broker::RpcServer::Responder respond);

}  // namespace dispatch
