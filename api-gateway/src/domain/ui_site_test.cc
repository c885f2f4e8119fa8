#include "api-gateway/src/domain/ui_site.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api-gateway/src/domain/testing/gateway_fixture.h"

namespace dispatch::gateway::ui_site_test {

using ::testing::HasSubstr;
using ::testing::Not;

const UiSite kSite({{"/ui", "text/html; charset=utf-8", "\"p1\"", false, "<page>", "zipped page"},
                    {"/ui/assets/index-Ab1.js", "text/javascript", "\"j1\"", true, "script", "z"}});

http::Response Get(const std::string& path, std::vector<http::Headers::Field> fields = {},
                   const std::string& method = "GET", const UiSite& site = kSite) {
  http::Request request;
  request.method = method;
  request.path = path;
  for (auto& [name, value] : fields) request.headers.Add(name, value);
  testing::RecordedAnswer answer;
  site.Handle(request, answer);
  return *answer.response_;
}

TEST(UiSiteTest, ThePageIsAskedForAgainAndItsAssetsAreNot) {
  EXPECT_EQ(Get("/ui").body, "<page>");
  EXPECT_EQ(Get("/ui/").body, "<page>");
  EXPECT_EQ(Get("/ui").headers.Get("Cache-Control"), "no-cache");
  auto asset = Get("/ui/assets/index-Ab1.js");
  EXPECT_EQ(asset.body, "script");
  EXPECT_EQ(asset.headers.Get("Content-Type"), "text/javascript");
  EXPECT_THAT(std::string(*asset.headers.Get("Cache-Control")), HasSubstr("immutable"));
}

TEST(UiSiteTest, WhatTheBrowserHasIsNotSentAgain) {
  auto known = Get("/ui", {{"If-None-Match", "W/\"x\", \"p1\""}});
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.body, "");
  EXPECT_EQ(Get("/ui", {{"If-None-Match", "\"old\""}}).status, 200);
}

TEST(UiSiteTest, GzipForWhoTakesIt) {
  auto zipped = Get("/ui", {{"Accept-Encoding", "br, gzip, deflate"}});
  EXPECT_EQ(zipped.body, "zipped page");
  EXPECT_EQ(zipped.headers.Get("Content-Encoding"), "gzip");
  EXPECT_EQ(zipped.headers.Get("Vary"), "Accept-Encoding");
  EXPECT_EQ(Get("/ui", {{"Accept-Encoding", "gzip;q=0.5, br"}}).body, "zipped page");
  EXPECT_EQ(Get("/ui", {{"Accept-Encoding", "gzip;q=0, br"}}).body, "<page>");
  EXPECT_EQ(Get("/ui", {{"Accept-Encoding", "br"}}).body, "<page>");
}

TEST(UiSiteTest, EveryAnswerHasTheStrictPolicy) {
  for (const char* path : {"/ui", "/ui/assets/index-Ab1.js", "/ui/nothing"}) {
    auto answer = Get(path);
    std::string policy(answer.headers.Get("Content-Security-Policy").value_or(""));
    EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(policy, HasSubstr("connect-src 'self'"));
    EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
    EXPECT_EQ(answer.headers.Get("X-Content-Type-Options"), "nosniff");
  }
}

TEST(UiSiteTest, RefusesTheRest) {
  EXPECT_EQ(Get("/ui/assets/other.js").status, 404);
  EXPECT_EQ(Get("/ui", {}, "POST").status, 405);
  EXPECT_TRUE(UiSite::Has("/ui"));
  EXPECT_TRUE(UiSite::Has("/ui/assets/x"));
  EXPECT_FALSE(UiSite::Has("/uix"));
  EXPECT_FALSE(UiSite::Has("/v1/lag"));
  auto without = Get("/ui", {}, "GET", UiSite({}));
  EXPECT_EQ(without.status, 404);
  EXPECT_THAT(without.body, HasSubstr("DISPATCH_UI"));
}

}  // namespace dispatch::gateway::ui_site_test
