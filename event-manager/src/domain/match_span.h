#pragma once

#include "broker-adapters/types.h"
#include "common/span.h"
#include "common/uuid.h"

namespace dispatch {

/// The span of an event's matching, from when it is read until its invocations are in the log: a
/// child of what its record's header names. Null: nobody exports, or it is not sampled.
SpanPtr StartMatchSpan(const Tracer* tracer, const broker::Record& record, const Uuid& stream);

}  // namespace dispatch
