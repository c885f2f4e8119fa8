#include "function-manager/src/domain/function_request.h"

#include <gtest/gtest.h>

namespace dispatch {
namespace {

Result<FunctionRequest> Read(json::object fields, json::value timeout) {
  fields["name"] = "f";
  fields["timeout"] = std::move(timeout);
  return ReadFunctionRequest(json::Serialize(fields));
}

TEST(FunctionRequest, NoTimeoutIsLongerThanARunMayTake) {
  const json::object process{{"image", "python3"}};
  EXPECT_TRUE(Read(process, 900'000).ok());
  EXPECT_TRUE(Read(process, "15m").ok());
  auto refused = Read(process, 900'001);
  ASSERT_EQ(refused.code(), Code::kUnprocessable);
  EXPECT_EQ(refused.error().details[0].field, "timeout");
  EXPECT_EQ(refused.error().details[0].reason, "must be a duration from 0s to 15m, as in \"30s\"");
}

TEST(FunctionRequest, OneThatTheUserRunsHasAnHour) {
  const json::object http{{"url", "http://example.com/"}};
  EXPECT_TRUE(Read(http, "1h").ok());
  EXPECT_FALSE(Read(http, "61m").ok());
}

}  // namespace
}  // namespace dispatch
