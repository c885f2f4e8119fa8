#include "api-gateway/src/domain/lag_history_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "schema/rfc3339.h"

namespace dispatch::gateway::lag_history_query_test {
namespace {

using std::chrono::seconds;

Result<LagHistoryQuery> Read(const std::string& query) {
  http::Request request;
  std::istringstream parts(query);
  for (std::string part; std::getline(parts, part, '&');) {
    size_t equals = part.find('=');
    request.query.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return ReadLagHistoryQuery(request, *schema::ParseRfc3339("2026-01-31T12:00:07Z"));
}

TEST(LagHistoryQueryTest, TheLastHourByDefault) {
  auto query = Read("subscription=a&subscription=b");
  ASSERT_TRUE(query.ok()) << query.message();
  EXPECT_EQ(query->subscriptions, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(query->step, seconds(20));
  EXPECT_EQ(schema::FormatRfc3339(query->from), "2026-01-31T11:00:00.000Z");
  EXPECT_EQ(query->count, 181) << "the one that is not over is the last";
  EXPECT_FALSE(query->partitions);
}

TEST(LagHistoryQueryTest, TheStepGrowsWithTheTime) {
  const std::pair<const char*, seconds> cases[] = {{"2026-01-31T11:30:07Z", seconds(10)},
                                                   {"2026-01-30T12:00:07Z", seconds(300)},
                                                   {"2026-01-17T12:00:07Z", seconds(3'600)},
                                                   {"1980-01-01T00:00:00Z", seconds(0)}};
  for (const auto& [from, step] : cases) {
    auto query = Read(std::string("subscription=a&from=") + from);
    ASSERT_EQ(query.ok(), step > seconds(0)) << from;
    if (!query.ok()) continue;
    EXPECT_EQ(query->step, step) << from;
    EXPECT_LE(query->count, 361) << from;
  }
}

TEST(LagHistoryQueryTest, WhatIsAskedForIsTaken) {
  auto query = Read(
      "subscription=a&from=2026-01-30T00:00:30Z&to=2026-01-30T01:00:00Z&step=1m&partitions=true");
  ASSERT_TRUE(query.ok()) << query.message();
  EXPECT_EQ(schema::FormatRfc3339(query->from), "2026-01-30T00:00:00.000Z");
  EXPECT_EQ(query->count, 60);
  EXPECT_TRUE(query->partitions);
}

TEST(LagHistoryQueryTest, ErrorsNameTheParameter) {
  std::string many;
  for (int i = 0; i < 51; ++i) many += "&subscription=s" + std::to_string(i);
  const std::pair<std::string, const char*> cases[] = {
      {"", "subscription"},
      {many.substr(1), "subscription"},
      {"subscription=a&from=yesterday", "from"},
      {"subscription=a&from=2026-02-01T00:00:00Z", "from"},
      {"subscription=a&to=soon", "to"},
      {"subscription=a&step=1s", "step"},
      {"subscription=a&step=x", "step"},
      {"subscription=a&step=10500ms", "step"},
      {"subscription=a&step=10s&from=2026-01-30T00:00:00Z", "step"},
      {"subscription=a&partitions=yes", "partitions"},
      {"subscription=a&subscription=b&partitions=true", "partitions"},
  };
  for (const auto& [query, field] : cases) {
    auto read = Read(query);
    ASSERT_FALSE(read.ok()) << query;
    EXPECT_EQ(read.error().code, Code::kInvalidArgument) << query;
    EXPECT_THAT(read.message(), ::testing::StartsWith(field)) << query;
  }
}

}  // namespace
}  // namespace dispatch::gateway::lag_history_query_test
