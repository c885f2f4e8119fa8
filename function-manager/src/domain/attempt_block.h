#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "function-manager/src/domain/attempt_log.h"

namespace dispatch {

/// Successful attempts of one subscription on events of one source partition, kept as one row: at
/// full rate a row for each would cost more than the deliveries. Within kMostOffsets and
/// kMostMillis, so that a row is found by the last of them.
struct AttemptBlock {
  static constexpr int64_t kMostOffsets = 10'000;
  static constexpr int64_t kMostMillis = 60'000;
  static constexpr size_t kMostAttempts = 2'000;
  static constexpr size_t kMostBytes = 256 * 1024;  // of answers

  bool keep = false;  // as long as failures
  Uuid subscription;  // whose lists show them
  Uuid topic;
  int32_t source_partition = 0;
  std::string org;
  std::string subscription_name;
  int64_t first_offset = 0;
  int64_t last_offset = 0;
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  std::string attempts;  // schema::PackedAttempts
};

/// Puts attempts, all of them successes, into as few blocks as may be.
std::vector<AttemptBlock> PackAttempts(const std::vector<Attempt>& attempts);

/// What is in a block, and (as stored beside it) whose. kInvalidArgument for bytes that are none.
Result<std::vector<Attempt>> UnpackAttempts(const AttemptBlock& block);

}  // namespace dispatch
