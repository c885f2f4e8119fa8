#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "broker-adapters/types.h"

namespace dispatch {

/// A reader takes no offset that a durable checkpoint has not granted it, so that whoever follows
/// after a crash knows how far it may have written, to the record: not further than the grant, and
/// not further than the log's end. A grant is twice what was taken since the one before, so that
/// checkpoints at their usual pace are enough.
struct GrantLimits {
  int64_t least = 256;
  int64_t most = 20'000;
};

/// The end of the next grant of a reader that stood at `before` at the last one and is at `now`.
inline int64_t NextGrant(int64_t before, int64_t now, const GrantLimits& limits) {
  return now + std::clamp<int64_t>(2 * (now - before), limits.least, limits.most);
}

/// What a record pins while it is under way.
inline size_t BytesOf(const broker::Record& record) {
  return (record.value ? record.value->size() : 0) + 64 * record.headers.size();
}

}  // namespace dispatch
