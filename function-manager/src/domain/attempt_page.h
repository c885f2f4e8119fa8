#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "function-manager/src/domain/attempt_log.h"

namespace dispatch {

/// Where a page of a subscription's attempts ended: the last of it. Attempts are listed from the
/// newest on; those of one time by position and number.
struct AttemptCursor {
  int64_t at_ms = std::numeric_limits<int64_t>::max();
  int32_t partition = 0;
  int64_t offset = 0;
  int32_t number = 0;

  static AttemptCursor Of(const Attempt& attempt) {
    return {attempt.at_ms, attempt.id.partition, attempt.id.offset, attempt.number};
  }
  /// Empty text is the beginning. kInvalidArgument for what ToString did not make.
  static Result<AttemptCursor> Parse(const std::string& text);
  std::string ToString() const;
  /// Greater is listed sooner.
  auto operator<=>(const AttemptCursor&) const = default;
};

struct AttemptQuery {
  int64_t since_ms = 0;
  std::string outcome;   // empty: any
  AttemptCursor before;  // what is listed after it
  size_t limit = 100;
};

struct AttemptPage {
  std::vector<Attempt> attempts;
  std::optional<AttemptCursor> next;
};

/// The page of all that was found, in any order.
AttemptPage PageOf(std::vector<Attempt> found, const AttemptQuery& query);

}  // namespace dispatch
