#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// Which of a subscription's dead letters: all conditions that are given must hold.
struct DeadLetterFilter {
  std::string reason;                             // "rejected"; empty: any
  std::string type;                               // of the event; empty: any
  std::optional<int32_t> status;                  // of the last answer; 0: there was none
  std::optional<int64_t> since_ms;                // dead-lettered at or after
  std::optional<int64_t> until_ms;                // dead-lettered before
  std::optional<std::pair<int32_t, int64_t>> at;  // the one at this place in its topic

  bool empty() const {
    return reason.empty() && type.empty() && !status && !since_ms && !until_ms && !at;
  }
};

/// Reads the fields `reason`, `type`, `status` (a number, or its digits), `since` and `until`
/// (RFC 3339) and `id` ("<partition>-<offset>"), as JSON or query has them. Missing, null and empty
/// ones do not filter. What is wrong with which, each named below `place`, is added to `faults`.
DeadLetterFilter ReadDeadLetterFilter(const json::object& fields, const std::string& place,
                                      std::vector<FieldError>* faults);

/// The filter as JSON, for showing and for ReadDeadLetterFilter.
json::object DeadLetterFilterForm(const DeadLetterFilter& filter);

/// The place of "<partition>-<offset>", the id of a dead letter.
std::optional<std::pair<int32_t, int64_t>> ParseDeadLetterId(std::string_view text);

}  // namespace dispatch
