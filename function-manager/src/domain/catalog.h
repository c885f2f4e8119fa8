#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/uuid.h"
#include "schema/objects.h"

namespace dispatch {

/// What function-manager knows of other services' objects, from the state topics. One owner.
class Catalog {
 public:
  enum class Known {
    kPresent,
    kDeleted,  // was here, or cannot come any more
    kNotYet,   // the cache may be behind: ask again
  };
  struct Lookup {
    Known known = Known::kNotYet;
    std::shared_ptr<const schema::Subscription> subscription;
  };

  virtual ~Catalog() = default;
  /// `version`: of the subscription when it matched; `waited`: how long the caller has been asking,
  /// which tells "deleted" from "not yet" when the cache is fresh.
  virtual Lookup Find(const Uuid& subscription, int64_t version, Duration waited) const = 0;
  /// Where a subscription's events go: its sink, or its function's URL. Nothing while the function
  /// is missing or not ready, or the endpoint has not allowed deliveries.
  virtual std::optional<schema::Sink> SinkOf(const schema::Subscription& subscription) const = 0;
};

}  // namespace dispatch
