#pragma once

#include <string>

#include "broker-adapters/types.h"
#include "common/uuid.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// The event that a record is, or that wraps it. `source_topic` as users call it.
cloudevents::Event EventOfRecord(const Uuid& driver, const std::string& source_topic,
                                 broker::Record record);

}  // namespace dispatch
