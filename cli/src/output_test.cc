#include "cli/src/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/yaml.h"

namespace dispatch::cli::output_test {
namespace {

using ::testing::HasSubstr;

json::value Json(std::string_view text) { return json::Parse(text).value(); }

TEST(Table, AlignsColumnsByCharacters) {
  Table table({"NAME", "STATUS"});
  table.Add({"orders", "READY"});
  table.Add({"längste-überschrift", ""});
  EXPECT_EQ(table.Render(),
            "NAME                 STATUS\n"
            "orders               READY\n"
            "längste-überschrift  -\n");
}

TEST(Table, KeepsControlCharactersFromTheTerminal) {
  Table table({"NAME"});
  table.Add(
      {"a\x1b[31mb\nc\xc2\x9b"
       "d"});
  EXPECT_EQ(table.Render(), "NAME\na [31mb c d\n");
}

TEST(Columns, ShowFieldsAndTimes) {
  auto list = Json(R"([{"name": "a", "n": 3, "t": 1700000000, "on": true},
                       {"name": null, "t": "2026-01-02T03:04:05.678Z", "on": ["x"]}])");
  auto table = MakeTable({FieldColumn("NAME", "name"), FieldColumn("N", "n"),
                          FieldColumn("ON", "on"), TimeColumn("TIME", "t")},
                         list.as_array());
  EXPECT_EQ(table.Render(),
            "NAME  N  ON     TIME\n"
            "a     3  true   2023-11-14 22:13:20Z\n"
            "-     -  [\"x\"]  2026-01-02 03:04:05Z\n");
}

TEST(Formats, AreThree) {
  EXPECT_TRUE(ParseFormat("table").ok());
  EXPECT_THAT(ParseFormat("xml").message(), HasSubstr("json or yaml"));
}

TEST(PrettyJson, Indents) {
  EXPECT_EQ(PrettyJson(Json("[0.2,1e30,-5]")), "[\n  0.2,\n  1e+30,\n  -5\n]");
  EXPECT_EQ(PrettyJson(Json(R"({"a":[1,{"b":"x"}],"c":{},"d":[]})")),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x\"\n    }\n  ],\n  \"c\": {},\n"
            "  \"d\": []\n}");
}

TEST(Yaml, ReadsBackWhatItWrites) {
  const char* texts[] = {R"({"a":"1","b":1,"c":"true","d":true,"e":null,"f":"null","g":1.5,
                             "h":"","i":"a: b","j":"# x","k":"- y","l":[],"m":{},"n":[[1],{"x":[]}],
                             "o":"two\nlines\n","p":"tab\t","q":"1e3","r":"~","s":"é","t":" x ",
                             "123":"key","u":"2026-01-01","v":"*","w":"&a","x":"{a}","y":"yes"})",
                         R"("alone")",
                         "[]",
                         "{}",
                         "null",
                         "[1,2]"};
  for (const char* text : texts) {
    auto value = Json(text);
    std::string yaml = ToYaml(value);
    auto back = ParseDocuments(yaml);
    ASSERT_TRUE(back.ok()) << yaml << back.message();
    if (value.is_null()) continue;  // an empty document
    ASSERT_EQ(back->size(), 1u) << yaml;
    EXPECT_EQ(json::Serialize(back->at(0)), json::Serialize(value)) << yaml;
  }
}

TEST(Documents, AreSeveralAndTyped) {
  auto documents =
      ParseDocuments("a: 1\nb: \"1\"\nc: [x, 2.5, false, ~]\n---\nd: |\n  line\n---\n");
  ASSERT_TRUE(documents.ok()) << documents.message();
  ASSERT_EQ(documents->size(), 2u);
  EXPECT_EQ(json::Serialize(documents->at(0)), R"({"a":1,"b":"1","c":["x",2.5,false,null]})");
  EXPECT_EQ(json::Serialize(documents->at(1)), R"({"d":"line\n"})");
}

TEST(Documents, SayWhereTheyAreWrong) {
  EXPECT_THAT(ParseDocuments("a: [1").message(), HasSubstr("line"));
  EXPECT_THAT(ParseDocuments("a: 1\na: 2").message(), HasSubstr("twice"));
  EXPECT_FALSE(ParseDocuments("{\"a\": 1, \"a\": 2}").ok());
}

}  // namespace
}  // namespace dispatch::cli::output_test
