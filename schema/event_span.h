#pragma once

#include <cstdint>
#include <string_view>

#include "common/span.h"
#include "schema/cloudevents.h"

/// Attributes of spans by OpenTelemetry's semantic conventions for messaging and CloudEvents.
namespace dispatch::schema {

/// What a span does with a record: `operation` is the last word of the span's name, which is that
/// of the topic and it; `type` one of the convention's (send, process).
void DescribeOperation(std::string_view kafka_topic, std::string_view operation,
                       std::string_view type, Span& span);
void DescribePosition(int32_t partition, int64_t offset, Span& span);
void DescribeEvent(const cloudevents::Event& event, Span& span);
/// An error that is not the caller's.
void DescribeError(const Error& error, Span& span);

}  // namespace dispatch::schema
