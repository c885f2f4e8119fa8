#pragma once

#include <string>
#include <vector>

#include "broker-adapters/state_table.h"
#include "common/pg/pool.h"
#include "function-manager/src/domain/dead_letter_filter.h"
#include "schema/messages.h"

namespace dispatch {

/// The condition on `dead_letters` of a filter; $1 to $8 are LetterFilterParams. Letters of the
/// subscription's replays are among them.
inline constexpr char kLetterFilter[] = R"( owner = $1::uuid
  and ($2 = '' or reason = $2) and ($3 = '' or event_type = $3)
  and ($4::int < 0 or last_status = $4::int)
  and dead_lettered_ms >= $5::bigint and dead_lettered_ms < $6::bigint
  and ($7::int < 0 or (log_partition = $7::int and log_offset = $8::bigint)) )";

/// Beside kLetterFilter: of its own deliveries. Those of a replay are of books that end with it, so
/// nothing makes them pending again.
inline constexpr char kOwnLetter[] = " and subscription = owner ";

std::vector<pg::Value> LetterFilterParams(const Uuid& subscription, const DeadLetterFilter& filter);

/// The primary key of `dead_letters` and of `dead_letter_removals`.
inline constexpr char kLetterKey[] =
    " topic, source_partition, source_offset, subscription, generation, replay ";

/// The subscription that a request's body names, of its organisation; or the one whose id the
/// gateway gives along, when it is too new for us.
Result<Uuid> SubscriptionOf(const broker::StateTable& subscriptions, const schema::Request& request,
                            const json::object& body);

}  // namespace dispatch
