#include "common/http/retry_after.h"

#include <gtest/gtest.h>

namespace dispatch::http::retry_after_test {
namespace {

using std::chrono::seconds;

TEST(RetryAfter, InSecondsAndDates) {
  EXPECT_EQ(ParseRetryAfter("120", 0), seconds(120));
  EXPECT_EQ(ParseRetryAfter("999999999", 0), std::chrono::hours(24));
  EXPECT_EQ(ParseRetryAfter("-5", 0), seconds(0));
  EXPECT_EQ(ParseRetryAfter("Thu, 01 Jan 1970 00:01:00 GMT", 30), seconds(30));
  EXPECT_EQ(ParseRetryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 30), seconds(0));
  EXPECT_EQ(ParseRetryAfter("soon", 0), std::nullopt);
  EXPECT_EQ(ParseRetryAfter("", 0), std::nullopt);
}

}  // namespace
}  // namespace dispatch::http::retry_after_test
