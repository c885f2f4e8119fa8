#include "api-gateway/src/domain/knative_run.h"

#include <gtest/gtest.h>

#include "common/crypto.h"

namespace dispatch::gateway::knative_run_test {
namespace {

json::object Body(const std::string& bytes, const std::string& type) {
  return {{"inputBytes", crypto::Base64Encode(bytes)}, {"httpContext", {{"content-type", type}}}};
}

TEST(KnativeRun, BytesBecomeInputByTheirType) {
  auto body = Body(R"({"a": 1})", "application/json; charset=utf-8");
  ASSERT_TRUE(*TakeInputBytes(body));
  EXPECT_EQ(body.at("input"), json::value({{"a", 1}}));
  EXPECT_FALSE(body.contains("inputBytes"));
  body = Body("plain words", "text/plain");
  ASSERT_TRUE(*TakeInputBytes(body));
  EXPECT_EQ(body.at("input"), json::value("plain words"));
  body = Body("\xff\xfe", "application/octet-stream");
  ASSERT_TRUE(*TakeInputBytes(body));
  EXPECT_EQ(body.at("input"), json::value("//4="));
  body = Body("", "application/json");
  ASSERT_TRUE(*TakeInputBytes(body));
  EXPECT_TRUE(body.at("input").is_null());
}

TEST(KnativeRun, WithoutBytesNothingChanges) {
  json::object body{{"input", 3}, {"inputBytes", nullptr}};
  EXPECT_FALSE(*TakeInputBytes(body));
  EXPECT_EQ(body, (json::object{{"input", 3}}));
}

TEST(KnativeRun, WhatDoesNotHoldIsNamed) {
  auto body = Body("{", "application/json");
  auto taken = TakeInputBytes(body);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.code(), Code::kUnprocessable);
  EXPECT_EQ(taken.error().details[0].field, "inputBytes");
  body = {{"inputBytes", "*"}};
  EXPECT_FALSE(TakeInputBytes(body).ok());
  body = {{"inputBytes", 1}};
  EXPECT_FALSE(TakeInputBytes(body).ok());
}

TEST(KnativeRun, TheAnswerIsThatOfTheBaseImages) {
  auto run = KnativeRunForm({{"output", "hi"},
                             {"logs", {{"stdout", {"line"}}, {"stderr", nullptr}}},
                             {"executedTime", 5'000'000'000},
                             {"finishedTime", 6'900'000'000}});
  EXPECT_EQ(*crypto::Base64Decode(json::GetString(run, "outputBytes")),
            R"({"context":{"logs":{"stdout":["line"],"stderr":null}},"payload":"hi"})");
  EXPECT_EQ(json::GetInt(run, "executedTime"), 5);
  EXPECT_EQ(json::GetInt(run, "finishedTime"), 6);
}

}  // namespace
}  // namespace dispatch::gateway::knative_run_test
