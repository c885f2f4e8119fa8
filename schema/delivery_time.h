#pragma once

#include <chrono>
#include <cstdint>

#include "common/clock.h"
#include "common/result.h"
#include "schema/cloudevents.h"

/// When an event is to be delivered, as its publisher says in the extension attribute `deliverat`.
namespace dispatch::cloudevents {

inline constexpr char kDeliverAt[] = "deliverat";
inline constexpr char kDelay[] = "delay";
inline constexpr std::chrono::hours kLongestDelay{30 * 24};

/// Reads what a publisher says at `now`: `deliverat`, an RFC 3339 time, or `delay`, a duration such
/// as "10m", in whose place the time is put that it means. Neither is more than kLongestDelay
/// ahead; a time that has passed is fine. kInvalidArgument naming the attribute.
Status SettleDelay(Event& event, WallTime now);

/// When an event of a topic is due (unix milliseconds): 0 for at once, which is also what comes of
/// a `deliverat` that is no time or is not after the record's. Never more than kLongestDelay after
/// the record: other producers may write anything. The same for every reading.
int64_t DeliverAtMs(const Event& event, int64_t record_timestamp_ms);

}  // namespace dispatch::cloudevents
