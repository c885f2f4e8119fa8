#include "api-gateway/src/domain/gateway.h"

#include "api-gateway/src/domain/error_table.h"
#include "api-gateway/src/domain/testing/gateway_fixture.h"

// Keys, organisations, routing and the conventions of every answer.
namespace dispatch::gateway::gateway_test {

using ::testing::HasSubstr;
using GatewayTest = testing::GatewayTest;

TEST_F(GatewayTest, OpenRoutesNeedNoKey) {
  EXPECT_EQ(Send("GET", "/healthz", "", {}, false).status, 200);
  auto version = Send("GET", "/v1/version", "", {}, false);
  EXPECT_EQ(version.status, 200);
  EXPECT_EQ(version.Text("version"), "1.2.3");
  EXPECT_EQ(version.Text("commit"), "abcdef");
  EXPECT_EQ(Send("GET", "/v1/openapi.json", "", {}, false).status, 200);
}

TEST_F(GatewayTest, EveryOtherRouteNeedsAKey) {
  for (auto [method, pattern] : gateway_.routes()) {
    if (pattern == "/healthz" || pattern == "/v1/version" || pattern == "/v1/openapi.json")
      continue;
    auto answer = Send(method, pattern, "{}", {}, false);
    EXPECT_EQ(answer.status, 401) << method << " " << pattern;
    EXPECT_EQ(answer.Header("WWW-Authenticate"), "Bearer");
  }
}

TEST_F(GatewayTest, ErrorsHaveTheAgreedBody) {
  auto answer = Send("GET", "/v1/topics/none", "", {{"X-Request-Id", "my-id"}});
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.Header("X-Request-Id"), "my-id");
  auto body = answer.Json().as_object();
  EXPECT_EQ(json::GetInt(body, "code"), 404);
  EXPECT_THAT(answer.Text("message"), HasSubstr("topic none does not exist"));
  EXPECT_EQ(answer.Text("requestId"), "my-id");
  EXPECT_NE(json::GetArray(body, "details"), nullptr);
  EXPECT_EQ(Send("GET", "/v1/status").Header("X-Request-Id").size(), 24u);
  EXPECT_EQ(Send("GET", "/v1/status", "", {{"X-Request-Id", "a b"}}).Header("X-Request-Id").size(),
            24u);
}

TEST_F(GatewayTest, WhatIsNoNameHasVmwaresCodeUnderItsPaths) {
  Error bad{Code::kUnprocessable, "no", false, {{"name", "must be 1 to 63 letters"}}};
  EXPECT_EQ(BodyCodeOf(422, "/v1/function", bad), 605);
  EXPECT_EQ(BodyCodeOf(422, "/v1/event/subscriptions", bad), 605);
  EXPECT_EQ(BodyCodeOf(422, "/v1/functions", bad), 422);
  EXPECT_EQ(BodyCodeOf(422, "/v1/topics", bad), 422);
  EXPECT_EQ(BodyCodeOf(409, "/v1/function", bad), 409);
  bad.details[0].reason = "is required";
  EXPECT_EQ(BodyCodeOf(422, "/v1/function", bad), 422);
  bad.details[0] = {"image", "must be a name"};
  EXPECT_EQ(BodyCodeOf(422, "/v1/function", bad), 422);
}

TEST_F(GatewayTest, UnknownPathsAndMethods) {
  EXPECT_EQ(Send("GET", "/v2/topics").status, 404);
  auto answer = Send("PATCH", "/v1/topics");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.Header("Allow"), "GET, HEAD, POST");
  EXPECT_EQ(Send("HEAD", "/v1/topics").status, 200);
}

TEST_F(GatewayTest, AKeyActsInItsOrganizationOnly) {
  PutOrganization("other");
  PutTopic("acme", "orders");
  EXPECT_EQ(Send("GET", "/v1/topics/orders", "", {{"X-Dispatch-Org", "acme"}}).status, 200);
  auto foreign = Send("GET", "/v1/topics/orders", "", {{"X-Dispatch-Org", "other"}});
  EXPECT_EQ(foreign.status, 403);
  key_ = PutKey("other", R"(["admin"])");
  EXPECT_EQ(Send("GET", "/v1/topics/orders").status, 404);
  EXPECT_EQ(Send("GET", "/v1/topics").body, "[]");
}

TEST_F(GatewayTest, AGlobalKeyActsInEveryOrganizationThatExists) {
  PutTopic("acme", "orders");
  PutOrganization("admin");
  key_ = PutKey("admin", R"(["admin"])", R"("status":"ACTIVE","global":true)");
  EXPECT_EQ(Send("GET", "/v1/topics/orders").status, 404);
  EXPECT_EQ(Send("GET", "/v1/topics/orders", "", {{"X-Dispatch-Org", "acme"}}).status, 200);
  auto missing = Send("GET", "/v1/topics", "", {{"X-Dispatch-Org", "nobody"}});
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.Text("message"), HasSubstr("POST /v1/iam/organization"));
}

TEST_F(GatewayTest, ScopesDecide) {
  PutTopic("acme", "orders");
  PutTopic("acme", "secret");
  key_ = PutKey("acme", R"(["read:topic/ord*"])");
  EXPECT_EQ(Send("GET", "/v1/topics/orders").status, 200);
  EXPECT_EQ(Send("GET", "/v1/topics/secret").status, 403);
  EXPECT_EQ(Send("GET", "/v1/topics").Json().as_array().size(), 1u);
  EXPECT_EQ(Send("GET", "/v1/subscriptions").status, 403);
  EXPECT_EQ(Send("DELETE", "/v1/topics/orders").status, 403);
  EXPECT_EQ(Send("POST", "/v1/topics", R"({"name":"orders2"})").status, 403);
  auto denied = Send("POST", "/v1/topics/orders/events?type=t", "x");
  EXPECT_EQ(denied.status, 403);
  EXPECT_THAT(denied.Text("message"), HasSubstr("may not publish topic/orders"));
  EXPECT_EQ(Send("GET", "/v1/subscriptions/s/dead-letters").status, 403);
}

TEST_F(GatewayTest, DenialsAreAudited) {
  key_ = PutKey("acme", R"(["read"])");
  EXPECT_EQ(Send("DELETE", "/v1/topics/orders").status, 403);
  loop_.RunFor(std::chrono::seconds(1));
  std::vector<broker::Record> log;
  for (int32_t p = 0; p < cluster_.Partitions(broker::kAuditTopic); ++p) {
    for (auto& record : cluster_.Log({broker::kAuditTopic, p})) log.push_back(record);
  }
  ASSERT_EQ(log.size(), 1u);
  EXPECT_TRUE(signer_.Verify(log[0]).ok());
  auto entry = schema::Decode<schema::AuditEntry>(*log[0].value);
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->outcome, "denied");
  EXPECT_EQ(entry->principal.id, auth::KeyText::Parse(key_)->id);
  EXPECT_EQ(entry->action, "DELETE /v1/topics/{name}");
  EXPECT_EQ(entry->resource, "/v1/topics/orders");
}

TEST_F(GatewayTest, ARevokedKeyStopsAtOnce) {
  EXPECT_EQ(Send("GET", "/v1/topics").status, 200);
  std::string id = auth::KeyText::Parse(key_)->id;
  PutState(kIdentity, schema::kApiKeyKind, "acme", id,
           R"({"status":"REVOKED","scopes":["admin"]})");
  EXPECT_EQ(Send("GET", "/v1/topics").status, 401);
}

TEST_F(GatewayTest, StaleIdentityStopsMutationsThenEverything) {
  PutTopic("acme", "orders");
  Serve(kEventManager, "topic.delete", [](const auto&) { return broker::RpcReply{}; });
  const std::string publish = "/v1/topics/orders/events?type=t";
  const std::string emitted =
      R"({"cloudEventsVersion":"0.1","eventType":"t","eventID":"1","source":"s"})";
  loop_.RunFor(std::chrono::seconds(50));
  EXPECT_EQ(Send("DELETE", "/v1/topics/orders").status, 204);
  loop_.RunFor(std::chrono::seconds(20));
  auto stale = Send("DELETE", "/v1/topics/orders");
  EXPECT_EQ(stale.status, 503);
  EXPECT_NE(stale.Header("Retry-After"), "(none)");
  EXPECT_EQ(Send("POST", publish, "x").status, 202);
  EXPECT_EQ(Send("POST", "/v1/event?topic=orders", emitted).status, 200);
  EXPECT_EQ(Send("GET", "/v1/topics").status, 200);
  loop_.RunFor(std::chrono::minutes(15));
  EXPECT_EQ(Send("POST", publish, "x").status, 503);
  Heartbeat(kIdentity);
  EXPECT_EQ(Send("POST", publish, "x").status, 202);
}

TEST_F(GatewayTest, MinVersionWaitsForTheCache) {
  auto waiting =
      Begin("GET", "/v1/topics/late", "",
            {{"X-Dispatch-Min-Version", "topic/acme/late@" + std::to_string(version_ + 1)}});
  loop_.RunFor(std::chrono::milliseconds(500));
  EXPECT_FALSE(waiting->response_);
  PutState(kEventManager, schema::kTopicKind, "acme", "late", R"({"name":"late"})");
  ASSERT_TRUE(waiting->response_);
  EXPECT_EQ(waiting->response_->status, 200);
  EXPECT_EQ(Send("GET", "/v1/topics/late", "", {{"X-Dispatch-Min-Version", "topic/acme/late@999"}})
                .status,
            503);
  for (const char* bad : {"17", "topic/other/late@1", "topic/acme/late@x", "@"}) {
    EXPECT_EQ(Send("GET", "/v1/topics/late", "", {{"X-Dispatch-Min-Version", bad}}).status, 400);
  }
}

TEST_F(GatewayTest, MinVersionIsLookedForWhereItsOwnerWritesIt) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> owners = {
      {kIdentity, {"organization", "policy", "serviceaccount", "apikey"}},
      {kEventManager, {"topic", "subscription", "replay", "drivertype", "driver"}},
      {kFunctionManager, {"baseimage", "image", "function", "secret", "api", "application"}}};
  for (const auto& [owner, kinds] : owners) {
    for (const std::string& kind : kinds) {
      PutState(owner, kind, "acme", "it", R"({"name":"it"})");
      std::string version = kind + "/acme/it@" + std::to_string(version_);
      EXPECT_EQ(Send("GET", "/v1/topics", "", {{"X-Dispatch-Min-Version", version}}).status, 200)
          << version;
    }
  }
}

TEST_F(GatewayTest, StatusTellsWhatIsSilent) {
  EXPECT_EQ(Send("GET", "/v1/status").Text("status"), "ok");
  loop_.RunFor(std::chrono::seconds(11));
  EXPECT_EQ(Send("GET", "/v1/status").Text("status"), "degraded");
}

}  // namespace dispatch::gateway::gateway_test
