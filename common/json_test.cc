#include "common/json.h"

#include <gtest/gtest.h>

namespace dispatch::json_test {
namespace {

TEST(Json, ParsesAndSerializes) {
  std::string text = R"({"a":[1,-2,3.5,true,null],"b":{"c":"d\u00e9"},"big":18446744073709551615})";
  auto v = json::Parse(text);
  ASSERT_TRUE(v.ok()) << v.message();
  EXPECT_EQ(
      json::Serialize(*v),
      "{\"a\":[1,-2,3.5,true,null],\"b\":{\"c\":\"d\xc3\xa9\"},\"big\":18446744073709551615}");
  EXPECT_TRUE(json::Parse(" 1 \n").ok());
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_FALSE(json::Parse(R"({"a":1,"a":2})").ok());
  EXPECT_FALSE(json::Parse(R"([{"x":{"a":{"k":1},"a":{"k":1,"l":2}}}])").ok());
  EXPECT_FALSE(json::Parse(R"({"a":1,"\u0061":2})").ok());
  EXPECT_TRUE(json::Parse(R"({"a":{"a":1},"b":{"a":1}})").ok());
  EXPECT_TRUE(json::Parse(R"({})").ok());
}

TEST(Json, RefusesWhatIsNotStrict) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\":1,}",
                           "01",
                           "+1",
                           "NaN",
                           "'a'",
                           "// c\n1",
                           "1 2",
                           "{} x",
                           "\"\t\"",
                           "\"\xff\"",
                           "\"\xc0\xaf\"",
                           "\"\xed\xa0\x80\"",
                           "\"\\ud800\"",
                           "1e999",
                           "[1",
                           "tru"}) {
    EXPECT_FALSE(json::Parse(text).ok()) << text;
  }
}

TEST(Json, LimitsDepth) {
  auto nested = [](int n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(json::Parse(nested(json::kDeepest)).ok());
  EXPECT_FALSE(json::Parse(nested(json::kDeepest + 1)).ok());
  EXPECT_FALSE(json::Parse(nested(5), 4).ok());
  EXPECT_FALSE(json::Parse(std::string(1'000'000, '[')).ok());
}

TEST(Json, ObjectOnly) {
  EXPECT_TRUE(json::ParseObject("{}").ok());
  EXPECT_EQ(json::ParseObject("[]").code(), Code::kInvalidArgument);
}

TEST(Json, LenientReadersFallBack) {
  auto o = *json::ParseObject(R"({"s":"x","i":7,"d":1.5,"b":true,"o":{},"a":[],"n":null})");
  EXPECT_EQ(json::GetString(o, "s", "f"), "x");
  EXPECT_EQ(json::GetString(o, "i", "f"), "f");
  EXPECT_EQ(json::GetInt(o, "i"), 7);
  EXPECT_EQ(json::GetInt(o, "d", 3), 3);
  EXPECT_EQ(json::GetInt(o, "n", 3), 3);
  EXPECT_EQ(json::GetDouble(o, "d"), 1.5);
  EXPECT_EQ(json::GetDouble(o, "i"), 7);
  EXPECT_TRUE(json::GetBool(o, "b"));
  EXPECT_TRUE(json::GetBool(o, "missing", true));
  EXPECT_NE(json::GetObject(o, "o"), nullptr);
  EXPECT_EQ(json::GetObject(o, "a"), nullptr);
  EXPECT_NE(json::GetArray(o, "a"), nullptr);
}

TEST(Json, NumbersReadAsPeopleWriteThem) {
  auto text = R"({"a":[0.2,4,-1.5,1e+30,true,null,"x\"{"],"b":{},"c":[]})";
  EXPECT_EQ(json::Serialize(*json::Parse(text)), text);
}

}  // namespace
}  // namespace dispatch::json_test
