#include "schema/event_span.h"

#include <string>

namespace dispatch::schema {

void DescribeOperation(std::string_view kafka_topic, std::string_view operation,
                       std::string_view type, Span& span) {
  span.name.append(kafka_topic).append(" ").append(operation);
  span.Set("messaging.system", "kafka");
  span.Set("messaging.operation.name", operation);
  span.Set("messaging.operation.type", type);
  span.Set("messaging.destination.name", kafka_topic);
}

void DescribePosition(int32_t partition, int64_t offset, Span& span) {
  span.Set("messaging.destination.partition.id", std::to_string(partition));
  span.Set("messaging.kafka.offset", offset);
}

void DescribeEvent(const cloudevents::Event& event, Span& span) {
  constexpr std::pair<const char*, const char*> kAttributes[] = {
      {"id", "cloudevents.event_id"},
      {"source", "cloudevents.event_source"},
      {"specversion", "cloudevents.event_spec_version"},
      {"type", "cloudevents.event_type"},
      {"subject", "cloudevents.event_subject"},
  };
  for (const auto& [attribute, key] : kAttributes) {
    if (const std::string* value = event.Find(attribute)) span.Set(key, *value);
  }
}

void DescribeError(const Error& error, Span& span) {
  span.Set("error.type", CodeName(error.code));
  span.error = error.message;
}

}  // namespace dispatch::schema
