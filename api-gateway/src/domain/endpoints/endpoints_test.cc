#include <gtest/gtest.h>

#include "api-gateway/src/domain/endpoints/endpoint_answer.h"
#include "api-gateway/src/domain/endpoints/endpoint_input.h"
#include "api-gateway/src/domain/endpoints/endpoint_table.h"

namespace dispatch::gateway::endpoints_test {
namespace {

class EndpointTableTest : public ::testing::Test {
 protected:
  void Put(const std::string& name, const std::string& document, const std::string& org = "acme") {
    auto entity = std::make_shared<broker::Entity>();
    entity->org = org;
    entity->name = name;
    entity->document = *json::ParseObject(document);
    table_.OnChanged(schema::kApiKind, org + "/" + name, entity);
  }
  std::string Found(const std::string& method, const std::string& path,
                    const std::string& host = "h") {
    auto match = table_.Find(method, host, path);
    std::string text = match.api == nullptr ? "-" : match.api->name;
    for (const auto& [name, value] : match.params) text.append(" ").append(name + "=" + value);
    return text;
  }
  EndpointTable table_;
};

TEST_F(EndpointTableTest, FindsByPathMethodAndHost) {
  Put("a", R"({"uris":["/acme/x","/acme/y/"],"methods":["GET"],"enabled":true})");
  Put("any", R"({"uris":["/acme/x"],"methods":["POST"],"enabled":true})");
  Put("host", R"({"uris":["/acme/x"],"hosts":["api.example.com"],"enabled":true})");
  Put("off", R"({"uris":["/acme/off"],"enabled":false})");
  EXPECT_EQ(Found("GET", "/acme/x"), "a");
  EXPECT_EQ(Found("GET", "/acme/y"), "a");
  EXPECT_EQ(Found("POST", "/acme/x/"), "any");
  EXPECT_EQ(Found("GET", "/acme/x", "API.Example.com:80"), "host");
  EXPECT_EQ(Found("OPTIONS", "/acme/y"), "a");
  EXPECT_EQ(Found("PUT", "/acme/x"), "-");
  EXPECT_EQ(Found("GET", "/acme"), "-");
  EXPECT_EQ(Found("GET", "/acme/x/z"), "-");
  EXPECT_EQ(Found("GET", "/acme/off"), "-");
}

TEST_F(EndpointTableTest, ALiteralWinsOverAParameterAndAnEmptySegmentIsNone) {
  Put("p", R"({"uris":["/o/{id}/i/{item}"],"enabled":true})");
  Put("l", R"({"uris":["/o/1/i/all"],"methods":["GET"],"enabled":true})");
  EXPECT_EQ(Found("GET", "/o/1/i/all"), "l");
  EXPECT_EQ(Found("POST", "/o/1/i/all"), "p id=1 item=all");
  EXPECT_EQ(Found("GET", "/o//i/x"), "-");
}

TEST_F(EndpointTableTest, APathThatAnOrganisationServesBelowItsNameIsItsOwn) {
  Put("own", R"({"uris":["/acme/{x}"],"methods":["GET"],"enabled":true})");
  Put("other", R"({"uris":["/acme/x","/acme/y/z"],"hosts":["h"],"enabled":true})", "b");
  EXPECT_EQ(Found("GET", "/acme/x"), "own x=x");
  EXPECT_EQ(Found("OPTIONS", "/acme/x"), "own x=x");
  EXPECT_EQ(Found("POST", "/acme/x"), "-");
  EXPECT_EQ(Found("GET", "/acme/y/z"), "other");
  Put("host", R"({"uris":["/acme/x"],"hosts":["h"],"enabled":true})");
  EXPECT_EQ(Found("GET", "/acme/x"), "host");
  EXPECT_EQ(Found("GET", "/acme/x", "i"), "own x=x");
}

TEST_F(EndpointTableTest, FollowsChanges) {
  Put("a", R"({"uris":["/x/{y}"],"enabled":true})");
  Put("a", R"({"uris":["/z"],"enabled":true})");
  EXPECT_EQ(Found("GET", "/x/1"), "-");
  EXPECT_EQ(Found("GET", "/z"), "a");
  table_.OnChanged(schema::kApiKind, "acme/a", nullptr);
  EXPECT_EQ(Found("GET", "/z"), "-");
  EXPECT_EQ(table_.size(), 0u);
}

TEST(ApiConflictTest, IsTheSameFormOfPathAMethodAndAHost) {
  auto api = [](const std::string& document) {
    return schema::ParseApi("acme", "a", *json::ParseObject(document));
  };
  auto base = api(R"({"uris":["/a/{x}"],"methods":["GET"]})");
  EXPECT_TRUE(schema::Conflict(base, api(R"({"uris":["/b","/a/{y}/"]})")));
  EXPECT_FALSE(schema::Conflict(base, api(R"({"uris":["/a/b"]})")));
  EXPECT_FALSE(schema::Conflict(base, api(R"({"uris":["/a/{y}"],"methods":["PUT"]})")));
  EXPECT_FALSE(schema::Conflict(base, api(R"({"uris":["/a/{y}"],"hosts":["h"]})")));
}

TEST(ApiConflictTest, AcrossOrganisationsIsAHostOrAPathBelowAName) {
  auto conflict = [](const std::string& one, const std::string& other) {
    auto a = schema::ParseApi("a", "x", *json::ParseObject(one));
    auto b = schema::ParseApi("b", "x", *json::ParseObject(other));
    EXPECT_EQ(schema::Conflict(a, b), schema::Conflict(b, a)) << one << other;
    return schema::Conflict(a, b);
  };
  const char* host = R"({"uris":["/x"],"methods":["GET"],"hosts":["h","i"]})";
  EXPECT_TRUE(conflict(host, R"({"uris":["/y"],"methods":["PUT"],"hosts":["i"]})"));
  EXPECT_FALSE(conflict(host, R"({"uris":["/x"],"hosts":["j"]})"));
  const char* below = R"({"uris":["/a/x/{y}"],"methods":["GET"]})";
  EXPECT_TRUE(conflict(below, R"({"uris":["/","/a/{x}/y"],"methods":["PUT"],"hosts":["h"]})"));
  EXPECT_FALSE(conflict(below, R"({"uris":["/a/z/y","/a/x"],"hosts":["h"]})"));
  // Here a literal wins, and nobody may keep all organisations from their paths.
  EXPECT_FALSE(conflict(below, R"({"uris":["/{org}/x/y"],"hosts":["h"]})"));
  EXPECT_FALSE(conflict(below, R"({"uris":["/b/x/{y}"]})"));
}

http::Request Body(const std::string& type, const std::string& body) {
  http::Request request;
  request.method = "POST";
  if (!type.empty()) request.headers.Add("Content-Type", type);
  request.body = body;
  return request;
}

TEST(EndpointInputTest, ReadsFormsAndRefusesWhatIsNone) {
  auto form = EndpointInput(
      Body("application/x-www-form-urlencoded; charset=utf-8", "a=1&&b=%C3%A9+%26&a=2&c"));
  ASSERT_TRUE(form.ok());
  EXPECT_EQ(*form, json::value({{"a", json::array{"1", "2"}}, {"b", "é &"}, {"c", ""}}));
  const std::string type = "multipart/form-data; boundary=\"B\"";
  auto parts = EndpointInput(
      Body(type,
           "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
           "--B\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nfile\r\n"
           "--B--\r\n"));
  ASSERT_TRUE(parts.ok()) << parts.message();
  EXPECT_EQ(*parts, json::value({{"a", "one"}}));
  for (const char* body : {"x", "--B", "--B\r\n", "--B\r\nContent-Disposition: form-data\r\n\r\n",
                           "--B\r\nA: b\r\n\r\nx\r\n--B--", "--B\r\n\r\n"}) {
    EXPECT_EQ(EndpointInput(Body(type, body)).code(), Code::kInvalidArgument) << body;
  }
  EXPECT_FALSE(EndpointInput(Body("multipart/form-data", "--B--")).ok());
  EXPECT_FALSE(EndpointInput(Body("application/x-www-form-urlencoded", "a=%1")).ok());
  EXPECT_EQ(EndpointInput(Body("", "\xff")).value(), json::value("/w=="));
  EXPECT_EQ(EndpointInput(Body("application/vnd.a+json", "[1]")).value(),
            json::value(json::array{1}));
  EXPECT_EQ(EndpointInput(Body("text/plain", "x")).code(), Code::kUnsupportedMedia);
}

TEST(EndpointAnswerTest, LetsNoFunctionSplitTheAnswer) {
  auto answer = [](const std::string& output) {
    return EndpointAnswer({{"output", *json::Parse(output)}});
  };
  EXPECT_EQ(answer(R"({"httpResponse":{"headers":{"X-A":"a\r\nX-B: b"}}})").status, 502);
  EXPECT_EQ(answer(R"({"httpResponse":{"headers":{"X A":"a"}}})").status, 502);
  EXPECT_EQ(answer(R"({"httpResponse":{"headers":{"Content-Length":"9"}}})").status, 502);
  EXPECT_EQ(answer(R"({"httpResponse":{"status":100}})").status, 502);
  EXPECT_EQ(answer(R"({"httpResponse":{"status":204},"more":1})").status, 200);
  auto made = answer(R"({"httpResponse":{"status":404,"headers":{"A":["1","2"]},"body":{"x":1}}})");
  EXPECT_EQ(made.status, 404);
  EXPECT_EQ(made.headers.Count("A"), 2u);
  EXPECT_EQ(made.body, R"({"x":1})");
  EXPECT_EQ(answer("null").body, "");
}

}  // namespace
}  // namespace dispatch::gateway::endpoints_test
