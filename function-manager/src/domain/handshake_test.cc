#include "function-manager/src/domain/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::handshake_test {
namespace {

using ::testing::HasSubstr;

TEST(Handshake, IsGrantedToOurNameOrToAll) {
  for (const char* allowed : {"*", "dispatch.example.com", " Dispatch.Example.COM "}) {
    auto permission = ReadPermission("dispatch.example.com", 200, allowed, "120");
    ASSERT_TRUE(permission.ok()) << permission.message();
    EXPECT_EQ(permission->per_minute, 120);
  }
}

TEST(Handshake, AnyRateIsAStarOrNothing) {
  EXPECT_EQ(ReadPermission("d", 204, "*", "*")->per_minute, std::nullopt);
  EXPECT_EQ(ReadPermission("d", 204, "*", std::nullopt)->per_minute, std::nullopt);
}

TEST(Handshake, NoOtherAnswerIsConsent) {
  // Servers that know nothing of webhooks answer OPTIONS too (section 4.2).
  auto missing = ReadPermission("d.example", 200, std::nullopt, "10");
  EXPECT_THAT(missing.message(), HasSubstr("with 200 and without WebHook-Allowed-Origin"));
  EXPECT_THAT(ReadPermission("d", 200, "other", "10").message(), HasSubstr("'other', not d or *"));
  EXPECT_FALSE(ReadPermission("d", 200, "", "10").ok());
  for (const char* rate : {"0", "-1", "1.5", "many", "", "10 20", "99999999999999999999"}) {
    EXPECT_THAT(ReadPermission("d", 200, "*", rate).message(), HasSubstr("WebHook-Allowed-Rate"))
        << rate;
  }
}

TEST(Handshake, AsksForTheSubscriptionsOwnRate) {
  schema::Subscription s;
  EXPECT_EQ(RequestRate(s), std::nullopt);
  s.rate_limit = schema::RateLimit{100, std::chrono::seconds(1)};
  EXPECT_EQ(RequestRate(s), 6'000);
  s.rate_limit = schema::RateLimit{1, std::chrono::hours(24)};
  EXPECT_EQ(RequestRate(s), 1);
}

}  // namespace
}  // namespace dispatch::handshake_test
