#pragma once

#include <functional>

#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"
#include "schema/messages.h"

namespace dispatch {

/// Runs `change` unless a request with the same Idempotency-Key ran in its organisation before:
/// then the reply of that one comes again. Inside the caller's transaction, on a pool thread;
/// repeats that run at the same time wait for the first. kUnprocessable when the key was used for
/// another request (method, If-Match or body). A request without a key is always run.
Result<broker::RpcReply> Once(pg::Transaction& tx, const schema::Request& request,
                              const std::function<Result<broker::RpcReply>()>& change);

/// A handler that answers repeats at once, so that `handler`, which prepares what it then does
/// with Once, sees only what is new or runs at the same time as the first.
broker::RpcServer::Handler AnsweringRepeats(pg::Pool& pool, broker::RpcServer::Handler handler);

/// Forgets the keys of requests older than a day, now and every hour. Both must live as long as the
/// loop runs.
void KeepForgettingRequests(Loop& loop, pg::Pool& pool);

/// Forgets keys older than `hours`. Returns how many.
Result<size_t> ForgetRequests(pg::Transaction& tx, int hours);

}  // namespace dispatch
