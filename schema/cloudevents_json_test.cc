#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/json.h"
#include "schema/cloudevents.h"
#include "schema/cloudevents_scan.h"

// The JSON format: rows marked **T** of the conformance notes.
namespace dispatch::cloudevents::json_test {

using ::testing::HasSubstr;

const std::string kRequired = R"("specversion":"1.0","id":"1","source":"/s","type":"t")";

Result<Event> With(const std::string& members) {
  return FromJson("{" + kRequired + (members.empty() ? "" : ",") + members + "}");
}

std::string DataOf(const Result<Event>& event) {
  if (!event.ok()) return "error: " + event.message();
  return event->data ? *event->data : "(none)";
}

std::string TypeOf(const Result<Event>& event) {
  const std::string* type = event.ok() ? event->Find("datacontenttype") : nullptr;
  return type ? *type : "(none)";
}

TEST(CloudEventsJsonTest, DataKeepsItsBytes) {
  for (std::string data : {R"({ "b" : 1,  "a":[1.10, 1e999, 12345678901234567890, -0.0, 1E+2] })",
                           R"("a string")", R"("Aé😀\/")", "null", "true", "[]", "0.10",
                           "9007199254740993", R"({"a":{"b":{"c":"}]\"{"}}})"}) {
    EXPECT_EQ(DataOf(With("\"data\": \n" + data + " ")), data);
    EXPECT_EQ(DataOf(With("\"datacontenttype\":\"application/vnd.x+json; v=1\",\"data\":" + data)),
              data);
  }
}

TEST(CloudEventsJsonTest, NullDataIsNotAbsence) {
  EXPECT_EQ(DataOf(With("")), "(none)");
  EXPECT_EQ(DataOf(With("\"data\":null")), "null");
}

TEST(CloudEventsJsonTest, DataWithoutTypeIsJson) {
  EXPECT_EQ(TypeOf(With("\"data\":1")), "application/json");
  EXPECT_EQ(TypeOf(With("")), "(none)");
  // Nothing is assumed about base64.
  auto binary = With(R"("data_base64":"AAH/")");
  EXPECT_EQ(TypeOf(binary), "(none)");
  EXPECT_EQ(DataOf(binary), std::string("\0\1\xff", 3));
}

TEST(CloudEventsJsonTest, TextDataIsItsBytes) {
  EXPECT_EQ(DataOf(With(R"("datacontenttype":"text/plain","data":"a\n\"€")")), "a\n\"€");
  EXPECT_EQ(DataOf(With(R"("datacontenttype":"text/plain; charset=iso-8859-1","data":"é")")),
            "\xe9");
  EXPECT_THAT(DataOf(With(R"("datacontenttype":"text/plain; charset=us-ascii","data":"é")")),
              HasSubstr("data_base64"));
  EXPECT_THAT(DataOf(With(R"("datacontenttype":"text/plain; charset=utf-16","data":"é")")),
              HasSubstr("data_base64"));
  EXPECT_THAT(DataOf(With(R"("datacontenttype":"text/plain","data":{})")),
              HasSubstr("must be a string"));
}

TEST(CloudEventsJsonTest, OnePayloadOnly) {
  EXPECT_THAT(With(R"("data":1,"data_base64":"AA==")").message(), HasSubstr("excludes data"));
  EXPECT_THAT(With(R"("data_base64":"A")").message(), HasSubstr("not base64"));
  EXPECT_THAT(With(R"("data_base64":1)").message(), HasSubstr("must be a string"));
}

TEST(CloudEventsJsonTest, AttributeTypes) {
  auto event = With(R"("a":true,"b":-12,"c":null,"d":"x")");
  ASSERT_TRUE(event.ok()) << event.message();
  EXPECT_EQ(*event->Find("a"), "true");
  EXPECT_EQ(*event->Find("b"), "-12");
  EXPECT_EQ(event->Find("c"), nullptr);
  for (std::string bad : {"1.5", "1e2", "2147483648", "{}", "[]"}) {
    EXPECT_EQ(With("\"a\":" + bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(With("\"Upper\":1").code(), Code::kInvalidArgument);
}

TEST(CloudEventsJsonTest, BrokenTextIsRefused) {
  for (std::string bad : {"\"id\":\"2\"",
                          R"("\u0069d":"2")",
                          R"("data":{"a":1,"a":2})",
                          R"("data":{"a":1,"\u0061":2})",
                          R"("data":"\ud800")",
                          R"("data":"\udc00\ud800")",
                          R"("data":"\ud800A")",
                          "\"data\":\"\xc0\xa0\"",
                          "\"data\":\"\xff\"",
                          "\"data\":\"a\nb\"",
                          "\"data\":01",
                          "\"data\":1.",
                          "\"data\":.5",
                          "\"data\":+1",
                          "\"data\":NaN",
                          "\"data\":[1,]",
                          "\"data\":{\"a\":1,}",
                          "\"data\":",
                          "\"data\":tru",
                          R"("data":"\x41")",
                          "\"data\":[1 2]",
                          "\"data\":'a'"}) {
    EXPECT_EQ(With(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(FromJson("{" + kRequired + "} x").code(), Code::kInvalidArgument);
  EXPECT_EQ(FromJson("{" + kRequired).code(), Code::kInvalidArgument);
  EXPECT_EQ(FromJson("[]").code(), Code::kInvalidArgument);
  EXPECT_EQ(FromJson("").code(), Code::kInvalidArgument);
  EXPECT_THAT(With("\"data\":" + std::string(5000, '[')).message(), HasSubstr("too deep"));
}

TEST(CloudEventsJsonTest, BatchGivesAResultPerElement) {
  EXPECT_TRUE(FromJsonBatch(" [ ] ")->empty());
  auto batch = FromJsonBatch("[{" + kRequired + R"(,"data":{"a" : 1}},{"id":"2"},7,{)" + kRequired +
                             R"(,"id":"3"},{)" + kRequired + "}]");
  ASSERT_TRUE(batch.ok()) << batch.message();
  ASSERT_EQ(batch->size(), 5u);
  EXPECT_EQ(DataOf((*batch)[0]), R"({"a" : 1})");
  EXPECT_THAT((*batch)[1].message(), HasSubstr("specversion"));
  EXPECT_THAT((*batch)[2].message(), HasSubstr("an object"));
  EXPECT_THAT((*batch)[3].message(), HasSubstr("id comes twice"));
  EXPECT_TRUE((*batch)[4].ok());
  EXPECT_FALSE(FromJsonBatch("[{" + kRequired + "},]").ok());
  EXPECT_FALSE(FromJsonBatch("{" + kRequired + "}").ok());
  EXPECT_FALSE(FromJsonBatch("[{" + kRequired + "}").ok());
}

TEST(CloudEventsJsonTest, BinaryModeToJson) {
  auto json = [](std::string type, std::string data) {
    Event event{{{"id", "1"}}, data};
    if (!type.empty()) event.Set("datacontenttype", type);
    std::string text = ToJson(event);
    return text.substr(text.find(",\"data\":") != std::string::npos
                           ? text.find(",\"data\":") + 1
                           : text.find(",\"data_base64") + 1);
  };
  EXPECT_EQ(json("application/json", "{ \"a\":1.10}"), "\"data\":{ \"a\":1.10}}");
  EXPECT_EQ(json("application/json", "{broken"), "\"data_base64\":\"e2Jyb2tlbg==\"}");
  EXPECT_EQ(json("text/xml; charset=utf-8", "<é\"\\\n\1>"), R"("data":"<é\"\\\n\u0001>"})");
  EXPECT_EQ(json("text/plain", "\xff"), "\"data_base64\":\"/w==\"}");
  EXPECT_EQ(json("text/plain; charset=iso-8859-1", "e"), "\"data_base64\":\"ZQ==\"}");
  EXPECT_EQ(json("image/png", "png"), "\"data_base64\":\"cG5n\"}");
  EXPECT_EQ(json("", "{}"), "\"data_base64\":\"e30=\"}");
  EXPECT_EQ(ToJson({{{"id", "\"1\""}}, {}}), R"({"id":"\"1\""})");
}

TEST(CloudEventsJsonTest, Version01IsUpgraded) {
  const std::string text = R"({"cloudEventsVersion":"0.1","eventID":"1","eventType":"t",
      "source":"/s","eventTypeVersion":"v2","eventTime":"2018-04-05T03:56:24Z",
      "schemaURL":"http://e.com/s","contentType":"application/json",
      "extensions":{"Some-Ext":"x","id":"clash","obj":{"a": [1]},"n":5,"--":"gone"},
      "data":{"big": 12345678901234567890}})";
  for (const auto& event : {UpgradeFrom01(text), FromJson(text)}) {
    ASSERT_TRUE(event.ok()) << event.message();
    EXPECT_EQ(*event->Find("specversion"), "1.0");
    EXPECT_EQ(*event->Find("id"), "1");
    EXPECT_EQ(*event->Find("eventtypeversion"), "v2");
    EXPECT_EQ(*event->Find("dataschema"), "http://e.com/s");
    EXPECT_EQ(*event->Find("someext"), "x");
    EXPECT_EQ(*event->Find("id1"), "clash");
    EXPECT_EQ(*event->Find("obj"), R"({"a":[1]})");
    EXPECT_EQ(*event->Find("n"), "5");
    EXPECT_EQ(event->attributes.size(), 12u);
    EXPECT_EQ(event->data, R"({"big": 12345678901234567890})");
  }
  auto bare = FromJson(
      R"({"cloudEventsVersion":"0.1","eventID":"1","eventType":"t","source":"/s","schemaURL":""})");
  EXPECT_EQ(bare->Find("time"), nullptr);
  EXPECT_EQ(bare->data, std::nullopt);
  for (std::string unknown : {R"({"cloudEventsVersion":"0.7","eventID":"1"})",
                              R"({"specversion":"0.2","id":"1","source":"/s","type":"t"})"}) {
    EXPECT_EQ(FromJson(unknown).code(), Code::kInvalidArgument);
  }
}

// Our scanner and Boost's parser must agree on what is JSON.
TEST(CloudEventsJsonTest, ScannerAgreesWithAParser) {
  const std::string seed =
      R"([{"a":1.5e3,"b":[true,false,null,-0],"c":"x\"\\\n\u00e9\ud83d\ude00é"},[],{}, 12 ])";
  const std::string_view letters = "{}[]\",:\\u0d8e-+.1tfn x\xc3\n";
  uint64_t random = 42;
  auto next = [&](size_t bound) {
    random = random * 6364136223846793005 + 1442695040888963407;
    return static_cast<size_t>(random >> 33) % bound;
  };
  int valid = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text = seed;
    for (size_t edits = next(3); edits > 0; --edits) {
      size_t at = next(text.size());
      switch (next(3)) {
        case 0:
          text[at] = letters[next(letters.size())];
          break;
        case 1:
          text.erase(at, 1);
          break;
        default:
          text.insert(at, 1, letters[next(letters.size())]);
      }
    }
    bool expected = json::Parse(text).ok();
    valid += expected;
    ASSERT_EQ(IsStrictJson(text), expected) << text;
  }
  EXPECT_GT(valid, 10'000);
}

}  // namespace dispatch::cloudevents::json_test
