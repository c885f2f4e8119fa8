#include "schema/objects.h"

#include <gtest/gtest.h>

namespace dispatch::schema::objects_test {
namespace {

Subscription Parse(const char* text) {
  return ParseSubscription(Uuid(), "acme", "s", 1, *json::ParseObject(text));
}

TEST(Objects, AnEndpointThatIsStillAskedIsPaused) {
  auto s = Parse(R"({"sink":{"url":"http://h","handshake":true},"handshake":{"state":"pending"}})");
  EXPECT_TRUE(s.awaits_permission);
  EXPECT_TRUE(s.paused);
  s = Parse(R"({"sink":{"url":"http://h","handshake":true},"handshake":{"state":"allowed"}})");
  EXPECT_FALSE(s.awaits_permission);
  EXPECT_FALSE(s.paused);
  EXPECT_FALSE(s.rate_limit.has_value());
  EXPECT_TRUE(Parse(R"({"paused":true,"handshake":{"state":"allowed"}})").paused);
}

TEST(Objects, TheTighterRateHolds) {
  auto rate = [](const char* text) {
    auto s = Parse(text);
    return s.rate_limit ? s.rate_limit->per_ms() * 60'000 : -1;
  };
  EXPECT_DOUBLE_EQ(rate(R"({"handshake":{"state":"allowed","allowedRate":120}})"), 120);
  EXPECT_DOUBLE_EQ(rate(R"({"handshake":{"state":"allowed","allowedRate":120},
                            "rateLimit":{"events":1,"per":"1s"}})"),
                   60);
  EXPECT_DOUBLE_EQ(rate(R"({"handshake":{"state":"allowed","allowedRate":30},
                            "rateLimit":{"events":1,"per":"1s"}})"),
                   30);
  EXPECT_DOUBLE_EQ(rate(R"({"handshake":{"state":"pending"},"rateLimit":{"events":1,"per":"1s"}})"),
                   60);
}

}  // namespace
}  // namespace dispatch::schema::objects_test
