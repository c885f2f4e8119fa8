#include "event-manager/src/domain/drivers/kafka_event.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/json.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

bool IsPlainText(const std::string& text) {
  return !text.empty() && text.size() <= 256 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
}

std::string ContentTypeOf(const broker::Record& record) {
  for (const char* name : {"content-type", "Content-Type"}) {
    const std::string* given = record.FindHeader(name);
    if (given != nullptr && IsPlainText(*given)) return *given;
  }
  return json::Parse(record.value.value_or("")).ok() ? "application/json"
                                                     : "application/octet-stream";
}

}  // namespace

cloudevents::Event EventOfRecord(const Uuid& driver, const std::string& source_topic,
                                 broker::Record record) {
  schema::HeaderList headers(record.headers.begin(), record.headers.end());
  auto event = cloudevents::FromKafka(headers, record.value);
  bool keyed = record.key && IsPlainText(*record.key);
  if (event.ok() && cloudevents::Validate(*event).ok()) {
    if (keyed && event->Find("partitionkey") == nullptr) event->Set("partitionkey", *record.key);
    return std::move(*event);
  }
  cloudevents::Event wrapped;
  wrapped.attributes = {
      {"specversion", "1.0"},
      {"id", fmt::format("{}-{}-{}", driver.ToString(), record.partition, record.offset)},
      {"source", fmt::format("kafka:{}", source_topic)},
      {"type", "kafka.record"},
      {"time", schema::FormatRfc3339(FromMillis(record.timestamp_ms))}};
  if (record.value) {
    wrapped.Set("datacontenttype", ContentTypeOf(record));
    wrapped.data = std::move(record.value);
  }
  if (keyed) wrapped.Set("partitionkey", *record.key);
  return wrapped;
}

}  // namespace dispatch
