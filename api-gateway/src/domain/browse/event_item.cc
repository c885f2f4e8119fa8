#include "api-gateway/src/domain/browse/event_item.h"

#include <fmt/format.h>

#include "common/cesql/event_view.h"
#include "common/crypto.h"
#include "common/json.h"
#include "schema/cloudevents.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

std::optional<std::string> EventItem(broker::Record record,
                                     const std::optional<cesql::Program>& filter) {
  schema::EventData data{std::move(record.key), std::move(record.headers), std::move(record.value)};
  auto event = cloudevents::FromKafka(data);
  if (filter && (!event.ok() || !filter->Holds(EventView(*event)))) return std::nullopt;
  std::string item =
      fmt::format(R"({{"partition":{},"offset":{},"time":"{}",)", record.partition, record.offset,
                  schema::FormatRfc3339(FromMillis(record.timestamp_ms)));
  if (event.ok()) return item + R"("event":)" + cloudevents::ToJson(*event) + '}';
  item += R"("error":)" + json::Serialize(json::value(event.message()));
  if (data.key) item += fmt::format(R"(,"key":"{}")", crypto::Base64Encode(*data.key));
  if (data.value) item += fmt::format(R"(,"value":"{}")", crypto::Base64Encode(*data.value));
  return item + '}';
}

bool HasEventId(const broker::Record& record, const std::string& id) {
  if (const std::string* own = record.FindHeader("ce_id")) return *own == id;
  const std::string* type = record.FindHeader("content-type");
  if (type == nullptr || !type->starts_with("application/cloudevents")) return false;
  auto event = cloudevents::FromKafka({record.key, record.headers, record.value});
  if (!event.ok()) return false;
  const std::string* found = event->Find("id");
  return found != nullptr && *found == id;
}

}  // namespace dispatch::gateway
