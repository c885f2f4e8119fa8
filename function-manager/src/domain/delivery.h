#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/clock.h"
#include "schema/messages.h"

namespace dispatch {

class InvocationPartition;

/// One event on its way to one subscription. Owned by the partition that it came from; the lane of
/// its subscription and the attempt under way point to it.
struct Delivery {
  enum class State {
    kHeld,      // its subscription is not known yet
    kQueued,    // in its lane
    kInFlight,  // an attempt is under way
    kWaiting,   // for its next attempt, in memory
    kSpilled,   // the retry store has it; leaves memory once that is durable
    kBurying,   // its dead letter is being written
    kDone,      // settled
  };

  schema::DeliveryId id;
  schema::Target target;
  std::string org;
  std::string topic;
  int64_t source_timestamp_ms = 0;
  std::shared_ptr<const schema::EventData> event;

  State state = State::kHeld;
  int32_t attempts = 0;  // made
  int64_t first_attempt_ms = 0;
  int32_t last_status = 0;
  std::string last_error;
  SteadyTime since{};  // when it came into its state
  TimerId timer = kNoTimer;

  // The record that it came with, until the delivery is terminal for it.
  int64_t record_offset = -1;  // -1: none (any more)
  uint32_t record_index = 0;
  bool has_row = false;  // the retry store has it, or will with the next checkpoint

  std::weak_ptr<InvocationPartition> partition;
};

using DeliveryPtr = std::shared_ptr<Delivery>;

}  // namespace dispatch
