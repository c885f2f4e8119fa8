#include <gtest/gtest.h>

#include "function-manager/src/domain/answer.h"
#include "function-manager/src/domain/retry_schedule.h"

namespace dispatch::delivery_rules_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Answer Status(int status) {
  Answer answer;
  answer.status = status;
  return answer;
}

TEST(AnswerTest, EffectsOfDesignSection5) {
  for (int status : {200, 201, 202, 204, 299}) {
    EXPECT_EQ(EffectOf(Status(status)), Effect::kDelivered) << status;
  }
  for (int status : {408, 425, 429, 500, 502, 503, 504, 599, 0}) {
    EXPECT_EQ(EffectOf(Status(status)), Effect::kRetry) << status;
  }
  for (int status : {301, 302, 307, 400, 401, 403, 404, 405, 409, 413, 422}) {
    EXPECT_EQ(EffectOf(Status(status)), Effect::kReject) << status;
  }
  EXPECT_EQ(EffectOf(Status(410)), Effect::kGone);
}

TEST(AnswerTest, DescriptionsHideThePathAndQuery) {
  EXPECT_EQ(Describe(Status(503), "https://host:8443/a?token=secret"),
            "503 from https://host:8443");
  Answer timeout;
  timeout.failure = "timeout";
  EXPECT_EQ(Describe(timeout, "http://host/x"), "timeout: http://host");
}

TEST(RetryScheduleTest, GrowsToItsCapAndEnds) {
  schema::RetryPolicy policy;
  policy.jitter = 0;
  EXPECT_EQ(NextDelay(policy, 1, milliseconds(0), Status(500), 0), seconds(5));
  EXPECT_EQ(NextDelay(policy, 2, milliseconds(0), Status(500), 0), seconds(20));
  EXPECT_EQ(NextDelay(policy, 8, milliseconds(0), Status(500), 0), std::chrono::hours(6));
  EXPECT_EQ(NextDelay(policy, 10, milliseconds(0), Status(500), 0), std::nullopt);
  EXPECT_EQ(NextDelay(policy, 2, policy.max_age, Status(500), 0), std::nullopt);
}

TEST(RetryScheduleTest, JitterOnlyShortens) {
  schema::RetryPolicy policy;
  policy.jitter = 0.5;
  EXPECT_EQ(NextDelay(policy, 1, milliseconds(0), Status(500), 0), seconds(5));
  EXPECT_EQ(NextDelay(policy, 1, milliseconds(0), Status(500), 1), milliseconds(2500));
}

TEST(RetryScheduleTest, RetryAfterCountsOnlyFrom429And503) {
  schema::RetryPolicy policy;
  policy.jitter = 0;
  for (auto [status, expected] : {std::pair{503, 60}, {429, 60}, {500, 5}}) {
    Answer answer = Status(status);
    answer.retry_after = seconds(60);
    EXPECT_EQ(NextDelay(policy, 1, milliseconds(0), answer, 0), seconds(expected)) << status;
  }
  Answer sooner = Status(503);
  sooner.retry_after = seconds(1);
  EXPECT_EQ(NextDelay(policy, 1, milliseconds(0), sooner, 0), seconds(5));
}

}  // namespace
}  // namespace dispatch::delivery_rules_test
