#pragma once

#include <cstdint>
#include <string>

#include "schema/messages.h"

namespace dispatch {

inline constexpr char kDelivered[] = "delivered";

/// One attempt, as "where is my event" shows it. `id.subscription` is the subscription whose lists
/// show it: of a replay's, the one that it replays to, and `id.replay` is the replay.
struct Attempt {
  schema::DeliveryId id;
  bool keep = false;  // `history: all`: as long as failures are kept
  std::string org;
  std::string subscription;
  int32_t number = 1;
  int64_t at_ms = 0;
  int64_t latency_us = 0;
  int32_t status = 0;
  std::string outcome;  // kDelivered, "retry", "dead-lettered"
  std::string message;
  std::string answer_head;
  int64_t next_attempt_ms = 0;  // 0: none
};

/// Keeps attempts. Recording never blocks and never fails: what does not fit is counted and
/// dropped, successes first.
class AttemptLog {
 public:
  virtual ~AttemptLog() = default;
  virtual void Record(Attempt attempt) = 0;
};

}  // namespace dispatch
