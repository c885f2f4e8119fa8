#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "function-manager/src/domain/delivery.h"
#include "schema/objects.h"

namespace dispatch {

/// The bulkhead of one subscription: its queue and how many of its attempts are under way. A slow
/// endpoint fills its own lane, not its neighbour's. One owner.
struct Lane {
  std::shared_ptr<const schema::Subscription> subscription;
  std::deque<DeliveryPtr> queue;
  int32_t in_flight = 0;
  SteadyTime last_answer{};  // or when it last began after being idle
  std::string last_failure;  // empty when the last attempt went well
  bool starved = false;      // waits for a place in the whole instance
  bool deleted = false;      // goes when its last attempt ends

  bool MayStart() const { return !queue.empty() && in_flight < subscription->max_in_flight; }
};

}  // namespace dispatch
