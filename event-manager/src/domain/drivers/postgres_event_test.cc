#include "event-manager/src/domain/drivers/postgres_event.h"

#include <gtest/gtest.h>

namespace dispatch::postgres_event_test {
namespace {

const Uuid kDriver = *Uuid::Parse("00000000-0000-7000-8000-000000000001");
constexpr char kSource[] = "/acme/drivers/pg";

cloudevents::Event RowEvent(std::string row, std::optional<std::string> payload = std::nullopt) {
  auto event = EventOfRow(kDriver, kSource, {"12", std::move(row), std::move(payload)});
  EXPECT_TRUE(cloudevents::Validate(event).ok());
  return event;
}

std::string Find(const cloudevents::Event& event, const char* name) {
  const auto* value = event.Find(name);
  return value != nullptr ? *value : "(none)";
}

TEST(PostgresEventTest, ARowIsTheDataWhereNothingElseIs) {
  const std::string row = R"({"id":12,"name":"x"})";
  auto event = RowEvent(row);
  EXPECT_EQ(Find(event, "id"), "00000000-0000-7000-8000-000000000001-12");
  EXPECT_EQ(Find(event, "source"), kSource);
  EXPECT_EQ(Find(event, "type"), "postgres.row");
  EXPECT_EQ(Find(event, "datacontenttype"), "application/json");
  EXPECT_EQ(event.data, row);
  EXPECT_EQ(RowEvent(row, "null").data, row);
}

TEST(PostgresEventTest, ColumnsNameAttributesAndThePayload) {
  auto event = RowEvent(R"({"type":"order.made","subject":"7","source":"/shop","partition_key":"k",
                            "content_type":"application/vnd.order+json"})",
                        R"({"n":1})");
  EXPECT_EQ(Find(event, "type"), "order.made");
  EXPECT_EQ(Find(event, "subject"), "7");
  EXPECT_EQ(Find(event, "source"), "/shop");
  EXPECT_EQ(Find(event, "partitionkey"), "k");
  EXPECT_EQ(Find(event, "datacontenttype"), "application/vnd.order+json");
  EXPECT_EQ(event.data, R"({"n":1})");
}

TEST(PostgresEventTest, TextIsWhatIsInIt) {
  auto json_text = RowEvent("{}", R"("{\"n\":1}")");
  EXPECT_EQ(json_text.data, R"({"n":1})");
  EXPECT_EQ(Find(json_text, "datacontenttype"), "application/json");
  auto text = RowEvent("{}", R"("a \"b\"")");
  EXPECT_EQ(text.data, "a \"b\"");
  EXPECT_EQ(Find(text, "datacontenttype"), "text/plain; charset=utf-8");
}

TEST(PostgresEventTest, ColumnsThatMakeNoEventAreLeftOut) {
  auto event = RowEvent(R"({"type":"","subject":"a\u0001b","source":5,"partition_key":null,
                            "content_type":"no type"})",
                        "1");
  EXPECT_EQ(Find(event, "type"), "postgres.row");
  EXPECT_EQ(Find(event, "source"), kSource);
  EXPECT_EQ(Find(event, "subject"), "(none)");
  EXPECT_EQ(Find(event, "partitionkey"), "(none)");
  EXPECT_EQ(event.data, "1");
}

TEST(PostgresEventTest, ANotificationHasItsChannel) {
  auto event = EventOfNotification(kDriver, kSource, "orders", R"({"n":1})");
  EXPECT_TRUE(cloudevents::Validate(event).ok());
  EXPECT_EQ(Find(event, "id"), kDriver.ToString());
  EXPECT_EQ(Find(event, "type"), "postgres.notification");
  EXPECT_EQ(Find(event, "subject"), "orders");
  EXPECT_EQ(event.data, R"({"n":1})");
  auto empty = EventOfNotification(kDriver, kSource, "orders", "");
  EXPECT_FALSE(empty.data.has_value());
  EXPECT_EQ(Find(empty, "datacontenttype"), "(none)");
}

}  // namespace
}  // namespace dispatch::postgres_event_test
