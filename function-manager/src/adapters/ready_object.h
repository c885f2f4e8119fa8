#pragma once

#include <functional>
#include <string>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// Writes an object that is READY as soon as it is written, and answers with it: a new one when the
/// request's method ends in ".create", else one that must be there, whose document becomes
/// `document` when its revision is the request's. `check` may refuse it, in the same transaction.
void WriteReadyObject(const Loop& loop, pg::Pool& pool, const schema::Request& request,
                      const std::string& kind, const json::object& document,
                      std::function<Status(pg::Transaction&, const StoredEntity&)> check,
                      broker::RpcServer::Responder respond);

/// Deletes the object that the request's body names, and answers with it.
void DeleteObject(pg::Pool& pool, const schema::Request& request, const std::string& kind,
                  broker::RpcServer::Responder respond);

}  // namespace dispatch
