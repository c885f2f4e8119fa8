#pragma once

#include <optional>
#include <string>

#include "common/pg/pool.h"
#include "schema/messages.h"

namespace dispatch {

/// Makes mutations idempotent by the requester's key, inside the caller's transaction: Begin before
/// the change, Finish after it. Repeats that run at the same time wait for the first.
class Idempotency {
 public:
  explicit Idempotency(pg::Transaction& tx) : tx_(tx) {}

  /// Nothing for the first time; else the reply that the first one got. kUnprocessable when the key
  /// was used for another request (method or body).
  Result<std::optional<std::string>> Begin(const schema::Request& request);
  Status Finish(const schema::Request& request, const std::string& reply);

  /// Forgets keys older than `hours`. Returns how many.
  Result<size_t> Forget(int hours);

 private:
  pg::Transaction& tx_;
};

}  // namespace dispatch
