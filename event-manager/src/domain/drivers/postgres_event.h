#pragma once

#include <optional>
#include <string>

#include "common/uuid.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// A row of an outbox table: the text of its key column, the row as JSON, and of its column
/// `payload` or `data` the JSON.
struct OutboxRowText {
  std::string key;
  std::string row;
  std::optional<std::string> payload;
};

/// The event of a row: `type`, `subject`, `source`, `partition_key` and `content_type` come from
/// columns of these names where they are usable; its id from the driver and the row's key.
cloudevents::Event EventOfRow(const Uuid& driver, const std::string& driver_source,
                              OutboxRowText row);
/// The event of a notification (NOTIFY channel, 'payload').
cloudevents::Event EventOfNotification(const Uuid& id, const std::string& driver_source,
                                       const std::string& channel, std::string payload);

}  // namespace dispatch
