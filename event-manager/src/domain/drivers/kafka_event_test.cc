#include "event-manager/src/domain/drivers/kafka_event.h"

#include <gtest/gtest.h>

namespace dispatch::kafka_event_test {
namespace {

const Uuid kDriver = *Uuid::Parse("00000000-0000-7000-8000-000000000001");

broker::Record RecordOf(std::optional<std::string> value, std::vector<broker::Header> headers = {},
                        std::optional<std::string> key = std::nullopt) {
  return {.topic = "acme.raw",
          .partition = 3,
          .offset = 42,
          .timestamp_ms = 1'700'000'000'123,
          .key = std::move(key),
          .value = std::move(value),
          .headers = std::move(headers)};
}

std::string Find(const cloudevents::Event& event, const char* name) {
  const auto* value = event.Find(name);
  return value != nullptr ? *value : "(none)";
}

TEST(KafkaEventTest, WrapsWhatIsNoEvent) {
  auto event = EventOfRecord(kDriver, "raw", RecordOf(R"({"a":1})", {}, "k"));
  EXPECT_EQ(Find(event, "id"), "00000000-0000-7000-8000-000000000001-3-42");
  EXPECT_EQ(Find(event, "source"), "kafka:raw");
  EXPECT_EQ(Find(event, "type"), "kafka.record");
  EXPECT_EQ(Find(event, "time"), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(Find(event, "datacontenttype"), "application/json");
  EXPECT_EQ(Find(event, "partitionkey"), "k");
  EXPECT_EQ(event.data, R"({"a":1})");
  EXPECT_TRUE(cloudevents::Validate(event).ok());
}

TEST(KafkaEventTest, SaysTheTypeOfTheBytesAsFarAsItIsKnown) {
  auto type = [](std::optional<std::string> value, std::vector<broker::Header> headers = {}) {
    auto event = EventOfRecord(kDriver, "raw", RecordOf(std::move(value), std::move(headers)));
    EXPECT_TRUE(cloudevents::Validate(event).ok());
    return Find(event, "datacontenttype");
  };
  EXPECT_EQ(type("x"), "application/octet-stream");
  EXPECT_EQ(type("x", {{"Content-Type", "text/csv"}}), "text/csv");
  EXPECT_EQ(type("x", {{"content-type", "text/\ncsv"}}), "application/octet-stream");
  EXPECT_EQ(type(std::nullopt), "(none)");
}

TEST(KafkaEventTest, TakesNoKeyThatIsNoAttribute) {
  for (const std::string& key :
       {std::string(), std::string("\0\1", 2), std::string("\xc3\xa9"), std::string(257, 'k')}) {
    auto event = EventOfRecord(kDriver, "raw", RecordOf("x", {}, key));
    EXPECT_EQ(Find(event, "partitionkey"), "(none)");
  }
}

TEST(KafkaEventTest, LeavesAnEventAsItIs) {
  std::vector<broker::Header> headers{{"ce_specversion", "1.0"},  {"ce_id", "7"},
                                      {"ce_source", "/s"},        {"ce_type", "t"},
                                      {"ce_partitionkey", "own"}, {"content-type", "text/plain"}};
  auto event = EventOfRecord(kDriver, "raw", RecordOf("data", headers, "other"));
  EXPECT_EQ(Find(event, "id"), "7");
  EXPECT_EQ(Find(event, "source"), "/s");
  EXPECT_EQ(Find(event, "partitionkey"), "own");
  EXPECT_EQ(event.data, "data");
  headers.erase(headers.begin() + 4);
  EXPECT_EQ(Find(EventOfRecord(kDriver, "raw", RecordOf("data", headers, "k")), "partitionkey"),
            "k");
  // Half an event is none.
  headers.erase(headers.begin() + 1);
  EXPECT_EQ(Find(EventOfRecord(kDriver, "raw", RecordOf("data", headers)), "type"), "kafka.record");
}

}  // namespace
}  // namespace dispatch::kafka_event_test
