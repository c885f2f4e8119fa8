#include "function-manager/src/domain/json_schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

namespace dispatch::json_schema_test {
namespace {

json::value Value(const std::string& text) {
  auto value = json::Parse(text, 64);
  EXPECT_TRUE(value.ok()) << text << ": " << value.message();
  return value.ok() ? *value : json::value();
}

// What is said of a value under a schema; "" when it holds.
std::string Said(const std::string& schema, const std::string& value) {
  auto compiled = JsonSchema::Compile(Value(schema));
  if (!compiled.ok()) return "schema: " + compiled.message();
  return compiled->Fault(Value(value), "input").value_or("");
}

TEST(JsonSchema, ChecksWhatTheDraftsSay) {
  struct Case {
    const char* schema;
    const char* value;
    const char* said;  // a part of it; "" when it holds
  };
  const Case cases[] = {
      {"null", R"({"a":1})", ""},
      {"true", "1", ""},
      {"false", "1", "input is not allowed"},
      {R"({"type":"string"})", "1", "input must be of type string"},
      {R"({"type":["string","null"]})", "null", ""},
      {R"({"type":"integer"})", "1.0", ""},
      {R"({"type":"integer"})", "1.5", "of type integer"},
      {R"({"type":"number"})", "1", ""},
      {R"({"type":"number"})", "true", "of type number"},
      {R"({"enum":[1,{"b":2,"a":[1.0]}]})", R"({"a":[1],"b":2.0})", ""},
      {R"({"enum":[1,"1"]})", "true", R"(must be one of [1,"1"])"},
      {R"({"const":null})", "null", ""},
      {R"({"const":0})", "false", "must be 0"},
      {R"({"enum":[1,2],"const":3})", "3", "must be 3"},
      {R"({"minimum":3})", "3", ""},
      {R"({"minimum":3,"exclusiveMinimum":true})", "3", "must be above 3"},
      {R"({"exclusiveMinimum":3})", "3", "must be above 3"},
      {R"({"minimum":5,"exclusiveMinimum":3})", "4", "must be at least 5"},
      {R"({"maximum":3})", "3.5", "must be at most 3"},
      {R"({"exclusiveMaximum":3})", "2.9", ""},
      {R"({"minimum":3})", R"("text")", ""},
      {R"({"multipleOf":0.1})", "0.3", ""},
      {R"({"multipleOf":2})", "3", "multiple of 2"},
      {R"({"multipleOf":1e-300})", "1e300", "multiple of"},
      {R"({"minLength":2})", R"("é")", "at least 2 characters"},
      {R"({"maxLength":2})", R"("éé")", ""},
      {R"({"pattern":"^a+$"})", R"("aab")", "pattern ^a+$"},
      {R"({"pattern":"b"})", R"("abc")", ""},
      {R"({"required":["a"]})", R"({"b":1})", "input must have the property 'a'"},
      {R"({"required":["a"]})", "[]", ""},
      {R"({"properties":{"a":{"properties":{"b":{"type":"string"}}}}})", R"({"a":{"b":1}})",
       "input.a.b must be of type string"},
      {R"({"properties":{"a":{}},"additionalProperties":false})", R"({"a":1,"c":2})",
       "input.c is not allowed"},
      {R"({"patternProperties":{"^x":{"type":"null"}},"additionalProperties":false})",
       R"({"x1":null})", ""},
      {R"({"additionalProperties":{"type":"string"}})", R"({"a":1})", "input.a must be of type"},
      {R"({"propertyNames":{"maxLength":1}})", R"({"ab":1})", "at most 1 characters"},
      {R"({"minProperties":1})", "{}", "at least 1 properties"},
      {R"({"maxProperties":1})", R"({"a":1,"b":2})", "at most 1 properties"},
      {R"({"dependencies":{"a":["b"]}})", R"({"a":1})", "property 'b', since it has 'a'"},
      {R"({"dependencies":{"a":{"required":["c"]}}})", R"({"a":1})", "property 'c'"},
      {R"({"items":{"type":"integer"}})", R"([1,"x"])", "input[1] must be of type integer"},
      {R"({"items":[{"type":"integer"}],"additionalItems":false})", "[1,2]",
       "input[1] is not allowed"},
      {R"({"minItems":1})", "[]", "at least 1 items"},
      {R"({"maxItems":1})", "[1,2]", "at most 1 items"},
      {R"({"uniqueItems":true})", "[1,2,1.0]", "[2] is there before"},
      {R"({"uniqueItems":true})", R"([1,"1",true])", ""},
      {R"({"contains":{"const":2}})", "[1,3]", "contains"},
      {R"({"allOf":[{"minimum":1},{"maximum":2}]})", "3", "at most 2"},
      {R"({"anyOf":[{"type":"null"},{"minimum":2}]})", "1", "`anyOf`"},
      {R"({"anyOf":[{"type":"null"},{"minimum":2}]})", "2", ""},
      {R"({"oneOf":[{"minimum":1},{"minimum":2}]})", "3", "not 2"},
      {R"({"oneOf":[{"minimum":1},{"minimum":2}]})", "1", ""},
      {R"({"not":{"type":"null"}})", "null", "`not`"},
      {R"({"if":{"minimum":10},"then":{"multipleOf":10},"else":{"maximum":5}})", "15", "of 10"},
      {R"({"if":{"minimum":10},"then":{"multipleOf":10},"else":{"maximum":5}})", "6", "most 5"},
      {R"({"$ref":"#/definitions/a","definitions":{"a":{"type":"null"}}})", "1", "type null"},
      {R"({"properties":{"next":{"$ref":"#"},"v":{"type":"integer"}},"required":["v"]})",
       R"({"v":1,"next":{"v":2,"next":{"v":"x"}}})", "input.next.next.v must be of type integer"},
      {R"({"properties":{"a":{"$ref":"#/$defs/x~1y~0z"}},"$defs":{"x/y~z":{"type":"null"}}})",
       R"({"a":1})", "input.a must be of type null"},
      {R"({"format":"date","x-own":{"type":1},"description":2})", "1", ""},
  };
  for (const Case& c : cases) {
    std::string said = Said(c.schema, c.value);
    if (*c.said == 0) {
      EXPECT_EQ(said, "") << c.schema << " of " << c.value;
    } else {
      EXPECT_NE(said.find(c.said), std::string::npos)
          << c.schema << " of " << c.value << ": " << said;
    }
  }
}

TEST(JsonSchema, NamesThePlaceOfAFaultInTheSchema) {
  for (const auto& [schema, place] : std::vector<std::pair<std::string, std::string>>{
           {"3", "# must be an object"},
           {R"({"type":"file"})", "/type"},
           {R"({"type":[]})", "/type"},
           {R"({"properties":{"a":{"minLength":-1}}})", "/properties/a/minLength"},
           {R"({"properties":[]})", "/properties must be an object"},
           {R"({"required":"a"})", "/required"},
           {R"({"anyOf":[]})", "/anyOf"},
           {R"x({"pattern":"(?=a)"})x", "/pattern"},
           {R"({"multipleOf":0})", "/multipleOf"},
           {R"({"items":{"$ref":"#/none"}})", "/items/$ref"},
           {R"({"$ref":"http://example.com/schema"})", "/$ref"}}) {
    auto compiled = JsonSchema::Compile(Value(schema));
    ASSERT_FALSE(compiled.ok()) << schema;
    EXPECT_EQ(compiled.code(), Code::kUnprocessable);
    EXPECT_NE(compiled.message().find(place), std::string::npos) << compiled.message();
  }
  std::string many = R"({"allOf":[)";
  for (int i = 0; i < 6000; ++i) many += i == 0 ? "{}" : ",{}";
  EXPECT_FALSE(JsonSchema::Compile(Value(many + "]}")).ok());
}

// Neither circles, nor exponential branching, nor much data hang or crash the check.
TEST(JsonSchema, EndsWhateverItIsGiven) {
  auto started = std::chrono::steady_clock::now();
  const std::string too_much = "asks for too much work";
  EXPECT_NE(Said(R"({"$ref":"#"})", "1").find(too_much), std::string::npos);
  EXPECT_NE(Said(R"({"not":{"$ref":"#"}})", "1").find(too_much), std::string::npos);
  EXPECT_NE(Said(R"({"anyOf":[{"$ref":"#"},{"$ref":"#"}]})", "1").find(too_much),
            std::string::npos);
  std::string doubling = R"({"definitions":{"d0":{"type":"null"})";
  for (int i = 1; i < 40; ++i) {
    doubling += fmt::format(
        R"(,"d{0}":{{"oneOf":[{{"$ref":"#/definitions/d{1}"}},{{"$ref":"#/definitions/d{1}"}}]}})",
        i, i - 1);
  }
  doubling += R"(},"$ref":"#/definitions/d39"})";
  EXPECT_NE(Said(doubling, "1").find(too_much), std::string::npos);
  std::string big = "[";
  for (int i = 0; i < 200'000; ++i) big += i == 0 ? "7" : ",7";
  EXPECT_EQ(Said(R"({"items":{"type":"integer","minimum":1}})", big + "]"), "");
  EXPECT_NE(Said(R"x({"pattern":"(a|a)*b(a|a)*c$"})x", '"' + std::string(100'000, 'a') + '"'), "");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10));
}

}  // namespace
}  // namespace dispatch::json_schema_test
