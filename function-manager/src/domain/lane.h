#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "function-manager/src/domain/circuit_breaker.h"
#include "function-manager/src/domain/delivery.h"
#include "function-manager/src/domain/endpoint_limit.h"
#include "function-manager/src/domain/fair_queue.h"
#include "function-manager/src/domain/token_bucket.h"
#include "schema/objects.h"

namespace dispatch {

/// Where attempts go: one URL of one organisation, which several lanes may share.
struct Endpoint {
  std::string key;
  std::string url;  // without its query
  EndpointLimit limit;
  std::deque<Uuid> waiting;  // lanes that wait for one of its places
};

/// The bulkhead of one subscription: its queue, how many of its attempts are under way, and what
/// holds it back. A slow endpoint fills its own lane, not its neighbour's. One owner.
struct Lane : FairQueue::Member {
  std::shared_ptr<const schema::Subscription> subscription;
  std::deque<DeliveryPtr> queue;
  int32_t in_flight = 0;
  int32_t* org_in_flight = nullptr;               // of all lanes of the organisation
  SteadyTime last_answer{};                       // or when it last began after being idle
  std::string last_failure;                       // empty when the last attempt went well
  Duration usual{std::chrono::milliseconds(10)};  // an attempt's time, a moving average

  std::shared_ptr<Endpoint> endpoint;
  std::string endpoint_url;
  CircuitBreaker circuit;
  std::optional<TokenBucket> rate;

  std::optional<SteadyTime> wake_at;  // when to look again
  bool waits_for_endpoint = false;
  bool starved = false;  // waits for a place in the whole instance
  bool deleted = false;  // goes when its last attempt ends
};

}  // namespace dispatch
