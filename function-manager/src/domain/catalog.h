#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

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
  /// `version`: of the subscription when it matched; `since_ms`: when the target was written, for
  /// telling "deleted" from "not yet".
  virtual Lookup Find(const Uuid& subscription, int64_t version, int64_t since_ms) const = 0;
  /// Where a subscription's events go: its sink, or its function's URL. Nothing while the function
  /// is missing or not ready.
  virtual std::optional<schema::Sink> SinkOf(const schema::Subscription& subscription) const = 0;
};

}  // namespace dispatch
