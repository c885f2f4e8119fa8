#include "schema/cloudevents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/cloudevents_text.h"

// The rows of the conformance notes (tests/conformance-data/cloudevents/BINDINGS.md) that are
// marked **T**, and the attribute rules.
namespace dispatch::cloudevents::attributes_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

schema::HeaderList Fields(schema::HeaderList more = {}) {
  schema::HeaderList fields = {
      {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

Event Minimal() {
  return {{{"specversion", "1.0"}, {"id", "1"}, {"source", "/s"}, {"type", "t"}}, {}};
}

std::string Attribute(const Result<Event>& event, std::string_view name) {
  if (!event.ok()) return "error: " + event.message();
  const std::string* value = event->Find(name);
  return value ? *value : "(none)";
}

TEST(CloudEventsTest, ModeComesFromTheContentType) {
  EXPECT_EQ(*ModeOf("application/cloudevents+json"), ContentMode::kStructured);
  EXPECT_EQ(*ModeOf("APPLICATION/CloudEvents+JSON; Charset=UTF-8"), ContentMode::kStructured);
  EXPECT_EQ(*ModeOf("application/cloudevents-batch+json"), ContentMode::kBatch);
  EXPECT_EQ(*ModeOf("Application/cloudevents-Batch+json; charset=utf-8"), ContentMode::kBatch);
  EXPECT_EQ(*ModeOf("application/json"), ContentMode::kBinary);
  EXPECT_EQ(*ModeOf(""), ContentMode::kBinary);
  EXPECT_EQ(ModeOf("application/cloudevents+avro").code(), Code::kUnsupportedMedia);
  EXPECT_EQ(ModeOf("application/cloudevents-batch+avro").code(), Code::kUnsupportedMedia);
  EXPECT_EQ(ModeOf("application/cloudevents+json; charset=utf-16").code(), Code::kUnsupportedMedia);
}

TEST(CloudEventsTest, HeaderValuesAreEncoded) {
  EXPECT_EQ(EncodeHeaderValue("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
  EXPECT_EQ(EncodeHeaderValue("a\"b%c~!"), "a%22b%25c~!");
  Event event = Minimal();
  event.Set("subject", "Euro € 😀");
  event.Set("datacontenttype", "text/plain; charset=utf-8");
  EXPECT_THAT(
      ToHttpHeaders(event),
      ElementsAre(Pair("ce-specversion", "1.0"), Pair("ce-id", "1"), Pair("ce-source", "/s"),
                  Pair("ce-type", "t"), Pair("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
                  Pair("Content-Type", "text/plain; charset=utf-8")));
}

TEST(CloudEventsTest, HeaderValuesAreDecodedOnce) {
  auto subject = [](std::string value) {
    return Attribute(FromHttpBinary(Fields({{"CE-Subject", value}}), ""), "subject");
  };
  EXPECT_EQ(subject("Euro%20%E2%82%AC%20%F0%9F%98%80"), "Euro € 😀");
  EXPECT_EQ(subject("%e2%82%ac%41"), "€A");  // lower case, needless
  EXPECT_EQ(subject("%2541"), "%41");        // one round only
  EXPECT_EQ(subject(R"("a \"quoted\" \\ string")"), R"(a "quoted" \ string)");
  EXPECT_EQ(subject("\"Euro%20%E2%82%AC\""), "Euro €");  // quoted string first
  EXPECT_EQ(subject("plain € text"), "plain € text");
  EXPECT_THAT(subject("%C0%A0"), HasSubstr("not percent-encoded UTF-8"));
  EXPECT_THAT(subject("100%"), HasSubstr("not percent-encoded UTF-8"));
  EXPECT_THAT(subject("%ED%A0%80"), HasSubstr("not percent-encoded UTF-8"));  // a surrogate
  EXPECT_THAT(subject("a%00b"), HasSubstr("control character"));
  EXPECT_THAT(subject("%EF%BF%BE"), HasSubstr("non-character"));
}

TEST(CloudEventsTest, BinaryModeNeedsItsFields) {
  auto missing = FromHttpBinary({{"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}}, "x");
  ASSERT_EQ(missing.code(), Code::kInvalidArgument);
  EXPECT_EQ(missing.error().details[0].field, "specversion");
  auto data = FromHttpBinary(Fields({{"ce-data", "x"}}), "");
  EXPECT_EQ(data.code(), Code::kInvalidArgument);
  EXPECT_EQ(FromHttpBinary(Fields({{"ce-datacontenttype", "x/y"}}), "").code(),
            Code::kInvalidArgument);
  // Which of the two would count is anybody's guess, so neither does.
  EXPECT_THAT(FromHttpBinary(Fields({{"CE-ID", "2"}}), "").message(), HasSubstr("id comes twice"));
}

TEST(CloudEventsTest, AttributeNamesBecomeLowerCase) {
  auto event = FromHttpBinary(Fields({{"CE-ComExampleExt", "v"}, {"CONTENT-TYPE", "a/b"}}), "x");
  EXPECT_EQ(Attribute(event, "comexampleext"), "v");
  EXPECT_EQ(Attribute(event, "datacontenttype"), "a/b");
  EXPECT_EQ(FromHttpBinary(Fields({{"ce-some_name", "v"}}), "").code(), Code::kInvalidArgument);
}

TEST(CloudEventsTest, ValuesHaveTheirForms) {
  auto fault = [](std::string_view name, std::string value) {
    Event event = Minimal();
    event.Set(name, std::move(value));
    Status status = Validate(event);
    return status.ok() ? "" : status.error().details[0].field;
  };
  EXPECT_EQ(fault("specversion", "0.3"), "specversion");
  EXPECT_EQ(fault("id", ""), "id");
  EXPECT_EQ(fault("type", ""), "type");
  EXPECT_EQ(fault("source", ""), "source");
  EXPECT_EQ(fault("source", "a b"), "source");
  EXPECT_EQ(fault("source", "urn:event:from:myapi/resource/123"), "");
  EXPECT_EQ(fault("source", "//host/path?q#f%20"), "");
  EXPECT_EQ(fault("subject", ""), "subject");
  EXPECT_EQ(fault("dataschema", "/relative"), "dataschema");
  EXPECT_EQ(fault("dataschema", "https://example.com/schema"), "");
  EXPECT_EQ(fault("anything", ""), "");
  for (std::string good : {"2018-04-05T17:31:00Z", "2018-04-05t17:31:00z",
                           "2020-02-29T00:00:00.123456789+14:00", "2016-12-31T23:59:60-01:30"}) {
    EXPECT_EQ(fault("time", good), "") << good;
  }
  for (std::string bad : {"2018-04-05", "2018-04-05 17:31:00Z", "2018-04-05T17:31:00",
                          "2018-13-05T17:31:00Z", "2019-02-29T17:31:00Z", "2018-04-05T24:00:00Z",
                          "2018-04-05T17:31:00.Z", "2018-04-05T17:31:00+1:00", ""}) {
    EXPECT_EQ(fault("time", bad), "time") << bad;
  }
}

TEST(CloudEventsTest, KafkaHeadersAreNotPercentEncoded) {
  Event event = Minimal();
  event.Set("subject", "Euro € %20");
  event.Set("datacontenttype", "application/json");
  event.data = "{}";
  auto kafka = ToKafka(event);
  EXPECT_THAT(kafka.headers, ElementsAre(Pair("ce_specversion", "1.0"), Pair("ce_id", "1"),
                                         Pair("ce_source", "/s"), Pair("ce_type", "t"),
                                         Pair("ce_subject", "Euro € %20"),
                                         Pair("content-type", "application/json")));
  auto back = FromKafka(kafka);
  ASSERT_TRUE(back.ok()) << back.message();
  EXPECT_EQ(back->attributes, event.attributes);
  EXPECT_EQ(back->data, event.data);
}

TEST(CloudEventsTest, NoDataIsATombstoneInKafka) {
  Event event = Minimal();
  EXPECT_EQ(ToKafka(event).value, std::nullopt);
  event.data = "";
  EXPECT_EQ(ToKafka(event).value, "");
  EXPECT_EQ(FromKafka(ToKafka(Minimal()))->data, std::nullopt);
  EXPECT_EQ(FromHttpBinary(Fields(), "")->data, std::nullopt);
}

TEST(CloudEventsTest, PartitionKeyIsTheKeyAndStays) {
  Event event = Minimal();
  event.Set("partitionkey", "customer-1");
  auto kafka = ToKafka(event);
  EXPECT_EQ(kafka.key, "customer-1");
  EXPECT_EQ(Attribute(FromKafka(kafka), "partitionkey"), "customer-1");
  auto other = ToKafka(Minimal());
  EXPECT_EQ(other.key, std::nullopt);
  other.key = "from outside";
  EXPECT_EQ(Attribute(FromKafka(other), "partitionkey"), "(none)");
}

TEST(CloudEventsTest, RecordsThatAreNoCloudEventsAreRefused) {
  EXPECT_EQ(FromKafka({{}, {{"some", "header"}}, "raw"}).code(), Code::kInvalidArgument);
  auto twice = ToKafka(Minimal());
  twice.headers.emplace_back("ce_id", "2");
  EXPECT_THAT(FromKafka(twice).message(), HasSubstr("id comes twice"));
  EXPECT_EQ(FromKafka({{}, {{"content-type", "application/cloudevents+json"}}, {}}).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(FromKafka({{}, {{"content-type", "application/cloudevents-batch+json"}}, "[]"}).code(),
            Code::kInvalidArgument);
  auto extra = ToKafka(Minimal());
  extra.headers.emplace_back("traceparent", "00-x");
  EXPECT_EQ(FromKafka(extra)->attributes, Minimal().attributes);
}

TEST(CloudEventsTest, DataBytesSurviveHttpKafkaHttp) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& body :
       {all, std::string("{ \"a\" : 12345678901234567890.10 }\n"), std::string(64 * 1024, 'x')}) {
    auto in = FromHttpBinary(Fields({{"Content-Type", "application/json"}}), body);
    ASSERT_TRUE(in.ok());
    auto out = FromKafka(ToKafka(std::move(*in)));
    EXPECT_EQ(out->data, body);
    EXPECT_EQ(*out->Find("datacontenttype"), "application/json");
  }
}

TEST(CloudEventsTest, Version01OverHttp) {
  auto event = FromHttpBinary({{"CE-CloudEventsVersion", "\"0.1\""},
                               {"CE-EventType", "\"com.example\""},
                               {"CE-EventID", "1234"},
                               {"CE-Source", "/s"},
                               {"CE-EventTime", "\"2018-04-05T03:56:24Z\""},
                               {"CE-EventTypeVersion", "2"},
                               {"CE-X-Some-Name", "v"},
                               {"Content-Type", "text/xml"}},
                              "<a/>");
  ASSERT_TRUE(event.ok()) << event.message();
  EXPECT_EQ(*event->Find("specversion"), "1.0");
  EXPECT_EQ(*event->Find("type"), "com.example");
  EXPECT_EQ(*event->Find("time"), "2018-04-05T03:56:24Z");
  EXPECT_EQ(*event->Find("eventtypeversion"), "2");
  EXPECT_EQ(*event->Find("somename"), "v");
  EXPECT_EQ(*event->Find("datacontenttype"), "text/xml");
  EXPECT_EQ(event->data, "<a/>");
}

TEST(CloudEventsTest, MediaTypes) {
  EXPECT_TRUE(MediaType("application/json").IsJson());
  EXPECT_TRUE(MediaType("Application/VND.x+JSON; charset=\"UTF-8\"").IsJson());
  EXPECT_TRUE(MediaType("Application/VND.x+JSON; charset=\"UTF-8\"").IsUtf8());
  EXPECT_FALSE(MediaType("text/plain;charset=iso-8859-1").IsUtf8());
  EXPECT_TRUE(MediaType("image/svg+xml").IsText());
  EXPECT_FALSE(MediaType("application/octet-stream").IsText());
}

}  // namespace dispatch::cloudevents::attributes_test
