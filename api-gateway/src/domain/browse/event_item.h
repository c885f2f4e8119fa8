#pragma once

#include <optional>
#include <string>

#include "broker-adapters/types.h"
#include "common/cesql/program.h"

namespace dispatch::gateway {

/// A record of an event topic as the API shows it, JSON text: {"partition", "offset", "time" (of
/// the record), "event": the CloudEvent in JSON format}. What is no CloudEvent has "error" and, in
/// base64, "key" and "value" in place of "event". Takes the record's bytes. Nothing when the filter
/// does not hold; it never holds for what is no CloudEvent.
std::optional<std::string> EventItem(broker::Record record,
                                     const std::optional<cesql::Program>& filter);

/// Whether the record is a CloudEvent of this id; cheap for the binary mode, in which all of ours
/// are.
bool HasEventId(const broker::Record& record, const std::string& id);

}  // namespace dispatch::gateway
