#include "event-manager/src/domain/drivers/postgres_event.h"

#include <fmt/format.h>

#include "common/json.h"

namespace dispatch {

namespace {

void FillData(std::string payload, cloudevents::Event& event) {
  bool is_json = json::Parse(payload).ok();
  event.Set("datacontenttype", is_json ? "application/json" : "text/plain; charset=utf-8");
  event.data = std::move(payload);
}

// Kept when the event is one with it.
void SetIfValid(cloudevents::Event& event, const char* attribute, const std::string& value) {
  if (value.empty()) return;
  cloudevents::Event tried = event;
  tried.data.reset();
  tried.Set(attribute, value);
  if (cloudevents::Validate(tried).ok()) event.Set(attribute, value);
}

}  // namespace

cloudevents::Event EventOfRow(const Uuid& driver, const std::string& driver_source,
                              OutboxRowText row) {
  cloudevents::Event event;
  event.attributes = {{"specversion", "1.0"},
                      {"id", fmt::format("{}-{}", driver.ToString(), row.key)},
                      {"source", driver_source},
                      {"type", "postgres.row"}};
  auto columns = json::ParseObject(row.row);
  std::string content_type;
  if (columns.ok()) {
    SetIfValid(event, "type", json::GetString(*columns, "type"));
    SetIfValid(event, "source", json::GetString(*columns, "source"));
    SetIfValid(event, "subject", json::GetString(*columns, "subject"));
    SetIfValid(event, "partitionkey", json::GetString(*columns, "partition_key"));
    content_type = json::GetString(*columns, "content_type");
  }
  if (!row.payload || *row.payload == "null") {
    // Nothing is called a payload: the row is.
    FillData(std::move(row.row), event);
    return event;
  }
  // A column of text: what is in it.
  auto text = row.payload->starts_with('"') ? json::Parse(*row.payload)
                                            : Result<json::value>(json::value());
  if (text.ok() && text->is_string()) {
    FillData(std::string(text->as_string()), event);
  } else {
    FillData(std::move(*row.payload), event);
  }
  SetIfValid(event, "datacontenttype", content_type);
  return event;
}

cloudevents::Event EventOfNotification(const Uuid& id, const std::string& driver_source,
                                       const std::string& channel, std::string payload) {
  cloudevents::Event event;
  event.attributes = {{"specversion", "1.0"},
                      {"id", id.ToString()},
                      {"source", driver_source},
                      {"type", "postgres.notification"}};
  SetIfValid(event, "subject", channel);
  if (!payload.empty()) FillData(std::move(payload), event);
  return event;
}

}  // namespace dispatch
