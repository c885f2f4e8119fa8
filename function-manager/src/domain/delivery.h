#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "schema/messages.h"

namespace dispatch {

class InvocationPartition;

/// One event on its way to one subscription. Owned by the partition that it came from; the lane of
/// its subscription and the attempt under way point to it.
struct Delivery {
  enum class State {
    kHeld,       // its subscription is not known yet
    kFollowing,  // behind another of its key
    kQueued,     // in its lane
    kInFlight,   // an attempt is under way
    kWaiting,    // for its next attempt, in memory
    kSpilled,    // the retry store has it; leaves memory once that is durable
    kBurying,    // its dead letter is being written
    kDone,       // settled
  };

  schema::DeliveryId id;
  schema::Target target;
  std::string org;
  std::string topic;
  int64_t source_timestamp_ms = 0;
  int64_t deliver_at_ms = 0;  // not before; 0: at once
  std::shared_ptr<const schema::EventData> event;

  State state = State::kHeld;
  int32_t attempts = 0;  // made
  int64_t first_attempt_ms = 0;
  int32_t last_status = 0;
  std::string last_error;
  SteadyTime since{};  // when it came into its state
  int64_t due_ms = 0;  // kWaiting: when it goes on
  TimerId timer = kNoTimer;

  // The record that it came with, until the delivery is terminal for it.
  int64_t record_offset = -1;  // -1: none (any more)
  uint32_t record_index = 0;
  int64_t sequence = 0;            // the record's offset, for good
  std::optional<std::string> key;  // `ordering: key`: it is in its partition's KeyOrder
  bool has_row = false;            // the retry store has it, or will with the next checkpoint
  bool copied = false;             // into the subscription's own dead-letter topic
  bool suspect = false;            // may have ended the process that had it before

  std::weak_ptr<InvocationPartition> partition;
  std::list<std::shared_ptr<Delivery>>::iterator place;  // among its deliveries
  bool listed = false;                                   // while it is
};

using DeliveryPtr = std::shared_ptr<Delivery>;

}  // namespace dispatch
