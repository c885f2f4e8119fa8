#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/http/message.h"
#include "common/result.h"
#include "schema/cloudevents.h"

namespace dispatch::gateway {

inline constexpr size_t kMaxEventBytes = 1'000'000;
inline constexpr size_t kMaxBatchEvents = 1'000;

/// What a publish request holds.
struct Intake {
  bool batch = false;
  std::vector<cloudevents::Event> events;
};

/// Reads CloudEvents in binary, structured or batch mode; any other body is wrapped when ?type=
/// says what it is (?id=, ?source=, ?subject=, ?partitionkey= may say more; `default_source` else).
/// When an event is to be delivered, its attributes `deliverat` or `delay` say, or for all that do
/// not say it ?deliverAt= or ?delay= (schema/delivery_time.h). Takes the request's body. All or
/// nothing: one faulty event refuses the batch, and the error's details name each.
Result<Intake> ReadEvents(http::Request& request, const std::string& default_source, WallTime now);

}  // namespace dispatch::gateway
