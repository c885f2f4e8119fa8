#include "common/otlp/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json.h"

namespace dispatch::otlp::encoding_test {
namespace {

using ::testing::HasSubstr;

Span ServerSpan() {
  Span span;
  span.context = {"5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", true};
  span.parent_id = "eee19b7ec3c1b173";
  span.kind = Span::Kind::kServer;
  span.name = "I'm a server span";
  span.begun = FromMillis(1'544'712'660'000);
  span.ended = FromMillis(1'544'712'661'000);
  span.Set("my.span.attr", "some value");
  return span;
}

json::value RequestOf(const Envelope& envelope, const std::string& spans) {
  return json::Parse(envelope.head + spans + envelope.tail).value();
}

// The specification's own example (opentelemetry-proto, examples/trace.json), with what its text
// asks of writers: 64-bit integers as strings, here also the optional `flags`.
TEST(OtlpEncoding, WritesTheExampleOfTheSpecification) {
  auto expected = json::Parse(R"({"resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
    "scopeSpans": [{
      "scope": {"name": "dispatch", "version": "1.0.0"},
      "spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "parentSpanId": "eee19b7ec3c1b173",
        "flags": 1,
        "name": "I'm a server span",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
        "kind": 2,
        "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}]
      }]
    }]
  }]})");
  Envelope envelope = EnvelopeOf({{"service.name", "my.service"}}, "1.0.0");
  EXPECT_EQ(RequestOf(envelope, EncodeSpan(ServerSpan())), expected.value());
}

TEST(OtlpEncoding, WritesNumbersLinksAndErrors) {
  Span span = ServerSpan();
  span.parent_id.clear();
  span.attributes.clear();
  span.Set("messaging.kafka.offset", int64_t{9'007'199'254'740'993});
  span.links.push_back({"0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", false});
  span.error = "503 from http://h";
  auto expected = json::Parse(R"({
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "flags": 1,
    "name": "I'm a server span",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": "1544712661000000000",
    "kind": 2,
    "attributes": [{"key": "messaging.kafka.offset", "value": {"intValue": "9007199254740993"}}],
    "links": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "flags": 0}],
    "status": {"code": 2, "message": "503 from http://h"}
  })");
  EXPECT_EQ(json::Parse(EncodeSpan(span)).value(), expected.value());
}

std::string NameOf(std::string name) {
  Span span = ServerSpan();
  span.name = std::move(name);
  auto read = json::Parse(EncodeSpan(span));  // refuses what is no UTF-8
  return read.ok() ? json::GetString(read->as_object(), "name") : read.message();
}

TEST(OtlpEncoding, TakesAnyBytes) {
  EXPECT_EQ(NameOf("\"quoted\"\n\x01"), "\"quoted\"\n\x01");
  EXPECT_EQ(NameOf("größe 日本 \U0001F600"), "größe 日本 \U0001F600");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(NameOf("a\xFFz"), "a" + bad + "z");
  EXPECT_EQ(NameOf("\xC0\xAF"), bad + bad);            // too long for what it says
  EXPECT_EQ(NameOf("\xED\xA0\x80"), bad + bad + bad);  // a surrogate
  EXPECT_EQ(NameOf("\xF4\x90\x80\x80x").back(), 'x');  // above the last character
  EXPECT_EQ(NameOf("\xE6\x97"), bad + bad);            // it ends too soon
}

TEST(OtlpEncoding, CutsLongTextsBetweenCharacters) {
  EXPECT_EQ(NameOf(std::string(5'000, 'x')), std::string(1'024, 'x'));
  EXPECT_EQ(NameOf("x" + std::string(1'022, 'y') + "ä"), "x" + std::string(1'022, 'y'));
}

TEST(OtlpEncoding, ReadsWhatACollectorDidNotTake) {
  for (const char* nothing : {"", "{}", "[]", "no json", R"({"partialSuccess":{}})",
                              R"({"partialSuccess":{"rejectedSpans":"0"}})"}) {
    EXPECT_FALSE(ReadPartialSuccess(nothing)) << nothing;
  }
  auto told =
      ReadPartialSuccess(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->rejected, 3);
  EXPECT_EQ(told->message, "too old");
  EXPECT_EQ(ReadPartialSuccess(R"({"partialSuccess":{"rejectedSpans":4}})")->rejected, 4);
  auto warning = ReadPartialSuccess(R"({"partialSuccess":{"errorMessage":"use the new name"}})");
  ASSERT_TRUE(warning);
  EXPECT_EQ(warning->rejected, 0);
}

}  // namespace
}  // namespace dispatch::otlp::encoding_test
