#include "api-gateway/src/domain/event_intake.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::gateway::event_intake_test {

using ::testing::HasSubstr;

const WallTime kNow = FromMillis(1'700'000'000'123);

http::Request Post(http::Headers headers, std::string body) {
  http::Request request;
  request.method = "POST";
  request.headers = std::move(headers);
  request.body = std::move(body);
  return request;
}

http::Headers Fields(std::vector<http::Headers::Field> fields) {
  http::Headers headers;
  for (auto& [name, value] : fields) headers.Add(name, value);
  return headers;
}

Result<Intake> Read(http::Request request) { return ReadEvents(request, "/acme/orders", kNow); }

std::string Structured(const std::string& id) {
  return fmt::format(
      R"({{"specversion":"1.0","id":"{}","source":"/s","type":"t","data":{{"n": 1}}}})", id);
}

TEST(EventIntakeTest, BinaryMode) {
  auto intake = Read(Post(Fields({{"CE-SpecVersion", "1.0"},
                                  {"ce-id", "1"},
                                  {"ce-source", "/s"},
                                  {"ce-type", "t"},
                                  {"ce-ext", "a%20b"},
                                  {"Content-Type", "text/plain"},
                                  {"User-Agent", "x"}}),
                          "hello"));
  ASSERT_TRUE(intake.ok()) << intake.message();
  EXPECT_FALSE(intake->batch);
  ASSERT_EQ(intake->events.size(), 1u);
  const auto& event = intake->events[0];
  EXPECT_EQ(*event.Find("ext"), "a b");
  EXPECT_EQ(*event.Find("datacontenttype"), "text/plain");
  EXPECT_EQ(event.attributes.size(), 6u);
  EXPECT_EQ(event.data, "hello");
}

TEST(EventIntakeTest, StructuredMode) {
  auto intake =
      Read(Post(Fields({{"Content-Type", "application/cloudevents+json"}}), Structured("1")));
  ASSERT_TRUE(intake.ok()) << intake.message();
  EXPECT_EQ(intake->events[0].data, "{\"n\": 1}");
  auto broken = Read(Post(Fields({{"Content-Type", "application/cloudevents+json"}}), "{"));
  EXPECT_EQ(broken.code(), Code::kInvalidArgument);
  auto avro = Read(Post(Fields({{"Content-Type", "application/cloudevents+avro"}}), "x"));
  EXPECT_EQ(avro.code(), Code::kUnsupportedMedia);
}

TEST(EventIntakeTest, Batch) {
  auto fields = Fields({{"Content-Type", "application/cloudevents-batch+json"}});
  auto intake = Read(Post(fields, "[" + Structured("1") + "," + Structured("2") + "]"));
  ASSERT_TRUE(intake.ok()) << intake.message();
  EXPECT_TRUE(intake->batch);
  EXPECT_EQ(intake->events.size(), 2u);
  EXPECT_TRUE(Read(Post(fields, "[]"))->events.empty());

  auto faulty = Read(Post(fields, "[" + Structured("1") + "," + Structured("") + ",7]"));
  ASSERT_EQ(faulty.code(), Code::kInvalidArgument);
  EXPECT_THAT(faulty.message(), HasSubstr("2 of 3 events are faulty, none was published"));
  EXPECT_EQ(faulty.error().details[0].field, "[1].id");
  EXPECT_EQ(faulty.error().details[1].field, "[2]");

  std::string many = "[" + Structured("0");
  for (int i = 1; i <= 1000; ++i) many += "," + Structured(std::to_string(i));
  EXPECT_EQ(Read(Post(fields, many + "]")).code(), Code::kTooLarge);
}

TEST(EventIntakeTest, OtherBodiesAreWrappedOnlyWhenAsked) {
  auto request = Post(Fields({{"Content-Type", "application/octet-stream"}}), "\xff");
  auto refused = Read(request);
  ASSERT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("?type="));

  request.query = {{"type", "my.type"}, {"subject", "s"}, {"partitionkey", "k"}};
  auto wrapped = Read(request);
  ASSERT_TRUE(wrapped.ok()) << wrapped.message();
  const auto& event = wrapped->events[0];
  EXPECT_EQ(*event.Find("type"), "my.type");
  EXPECT_EQ(*event.Find("source"), "/acme/orders");
  EXPECT_EQ(*event.Find("time"), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(*event.Find("subject"), "s");
  EXPECT_EQ(*event.Find("partitionkey"), "k");
  EXPECT_EQ(*event.Find("datacontenttype"), "application/octet-stream");
  EXPECT_EQ(event.Find("id")->size(), 36u);
  EXPECT_EQ(event.data, "\xff");

  request.query = {{"type", ""}};
  EXPECT_EQ(Read(request).code(), Code::kInvalidArgument);
}

TEST(EventIntakeTest, DeliveryTimeInEveryMode) {
  const std::string kIn10Min = "2023-11-14T22:23:20.123Z";
  auto binary = Read(Post(Fields({{"ce-specversion", "1.0"},
                                  {"ce-id", "1"},
                                  {"ce-source", "/s"},
                                  {"ce-type", "t"},
                                  {"ce-delay", "10m"}}),
                          ""));
  ASSERT_TRUE(binary.ok()) << binary.message();
  EXPECT_EQ(*binary->events[0].Find("deliverat"), kIn10Min);
  EXPECT_EQ(binary->events[0].Find("delay"), nullptr);

  const std::string kEvent = R"({"specversion":"1.0","id":"1","source":"/s","type":"t")";
  auto structured = Read(Post(Fields({{"Content-Type", "application/cloudevents+json"}}),
                              kEvent + R"(,"deliverat":"2023-11-15T00:00:00Z"})"));
  ASSERT_TRUE(structured.ok()) << structured.message();
  EXPECT_EQ(*structured->events[0].Find("deliverat"), "2023-11-15T00:00:00Z");

  auto batch = Post(Fields({{"Content-Type", "application/cloudevents-batch+json"}}),
                    "[" + kEvent + R"(,"deliverat":"2023-11-15T00:00:00Z"},)" + kEvent + "}]");
  batch.query = {{"delay", "10m"}};
  auto both = Read(batch);
  ASSERT_TRUE(both.ok()) << both.message();
  EXPECT_EQ(*both->events[0].Find("deliverat"), "2023-11-15T00:00:00Z");
  EXPECT_EQ(*both->events[1].Find("deliverat"), kIn10Min);

  auto wrapped = Post({}, "hello");
  wrapped.query = {{"type", "t"}, {"deliverAt", "2023-11-15T00:00:00Z"}};
  auto said = Read(wrapped);
  ASSERT_TRUE(said.ok()) << said.message();
  EXPECT_EQ(*said->events[0].Find("deliverat"), "2023-11-15T00:00:00Z");
}

TEST(EventIntakeTest, FaultyDeliveryTimes) {
  auto refused = [](http::Request request, const std::string& field) {
    auto intake = Read(std::move(request));
    EXPECT_EQ(intake.code(), Code::kInvalidArgument);
    ASSERT_EQ(intake.error().details.size(), 1u) << intake.message();
    EXPECT_EQ(intake.error().details[0].field, field);
  };
  auto wrapped = [](std::vector<std::pair<std::string, std::string>> query) {
    auto request = Post({}, "hello");
    request.query = std::move(query);
    request.query.emplace_back("type", "t");
    return request;
  };
  refused(wrapped({{"delay", "soon"}}), "delay");
  refused(wrapped({{"delay", "31d"}}), "delay");
  refused(wrapped({{"deliverAt", "tomorrow"}}), "deliverat");
  refused(wrapped({{"deliverAt", "2024-11-15T00:00:00Z"}}), "deliverat");
  refused(wrapped({{"deliverAt", "2023-11-15T00:00:00Z"}, {"delay", "1m"}}), "delay");
  const std::string kEvent = R"({"specversion":"1.0","id":"1","source":"/s","type":"t")";
  refused(Post(Fields({{"Content-Type", "application/cloudevents-batch+json"}}),
               "[" + kEvent + "}," + kEvent + R"(,"delay":"x"}])"),
          "[1].delay");
}

}  // namespace dispatch::gateway::event_intake_test
