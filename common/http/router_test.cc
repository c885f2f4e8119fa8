#include "common/http/router.h"

#include <gtest/gtest.h>

namespace dispatch::http::router_test {
namespace {

class HttpRouter : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* pattern :
         {"/", "/v1/topics", "/v1/topics/{topic}", "/v1/topics/{topic}/events",
          "/v1/topics/special", "/v1/{kind}/special/x"}) {
      router_.Add("GET", pattern, nullptr);
    }
    router_.Add("POST", "/v1/topics", nullptr);
    router_.Add("DELETE", "/v1/topics/{name}", nullptr);
  }
  std::string Find(const char* method, const char* path) {
    auto match = router_.Find(method, path);
    if (match.route) {
      std::string out = match.route->method + " " + match.route->pattern;
      for (const auto& [name, value] : match.params) out += " " + name + "=" + value;
      return out;
    }
    std::string out = "none";
    for (const auto& method : match.allowed) out += " " + method;
    return out;
  }
  Router router_;
};

TEST_F(HttpRouter, FindsLiteralsBeforeParameters) {
  EXPECT_EQ(Find("GET", "/"), "GET /");
  EXPECT_EQ(Find("GET", "/v1/topics"), "GET /v1/topics");
  EXPECT_EQ(Find("POST", "/v1/topics/"), "POST /v1/topics");
  EXPECT_EQ(Find("GET", "/v1/topics/a"), "GET /v1/topics/{topic} topic=a");
  EXPECT_EQ(Find("GET", "/v1/topics/special"), "GET /v1/topics/special");
  EXPECT_EQ(Find("DELETE", "/v1/topics/special"), "DELETE /v1/topics/{name} name=special");
  EXPECT_EQ(Find("GET", "/v1/topics/a/events"), "GET /v1/topics/{topic}/events topic=a");
  EXPECT_EQ(Find("GET", "/v1/topics/special/x"), "GET /v1/{kind}/special/x kind=topics");
  EXPECT_EQ(Find("HEAD", "/v1/topics"), "GET /v1/topics");
}

TEST_F(HttpRouter, TellsTheMethodsOfAPath) {
  EXPECT_EQ(Find("PUT", "/v1/topics"), "none GET HEAD POST");
  EXPECT_EQ(Find("PUT", "/v1/topics/special"), "none DELETE GET HEAD");
}

TEST_F(HttpRouter, FindsNothing) {
  EXPECT_EQ(Find("GET", "/v1"), "none");
  EXPECT_EQ(Find("GET", "/v1/topics//events"), "none");
  EXPECT_EQ(Find("GET", "/v1/topics/a/b"), "none");
  EXPECT_EQ(Find("GET", "//"), "none");
  EXPECT_EQ(Find("GET", "*"), "none");
  EXPECT_EQ(Find("GET", ""), "none");
}

TEST_F(HttpRouter, MaybeCopied) {
  Router copy = router_;
  EXPECT_EQ(copy.Find("GET", "/v1/topics/a").params[0].second, "a");
}

}  // namespace
}  // namespace dispatch::http::router_test
