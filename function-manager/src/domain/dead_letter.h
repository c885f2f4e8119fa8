#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "broker-adapters/broker.h"
#include "function-manager/src/domain/delivery.h"
#include "schema/messages.h"

namespace dispatch {

/// The partition key of an event in the CloudEvents Kafka binding, binary or structured.
std::optional<std::string> OrderingKey(const schema::EventData& event);

/// Its publisher wanted it to be delivered later: it has no place in the order of its key.
bool WasDelayed(const schema::EventData& event, int64_t source_timestamp_ms);

/// What is kept of a delivery that has come to its end without success. `partition`: of
/// dispatch.invocations, whose books count it.
schema::DeadLetter LetterOf(const Delivery& delivery, int32_t partition,
                            const std::string& subscription_name, const std::string& reason,
                            int64_t now_ms);

/// The delivery that a redrive makes of a dead letter's: the same with another replay id, which is
/// the redrive's, unless the delivery had one already. `generation`: the subscription's newest.
schema::DeliveryId RedrivenId(const schema::DeliveryId& letter, const Uuid& redrive,
                              int32_t generation);

/// The event of a letter for a subscription's own dead-letter topic: as it was, with what went
/// wrong in extension attributes (README). Nothing when it went through such topics too often: two
/// subscriptions whose dead-letter topics are each other's would send it round for ever.
std::optional<broker::ProduceRecord> CopyOf(const schema::DeadLetter& letter,
                                            const std::string& topic);

}  // namespace dispatch
