#include "api-gateway/src/domain/resource.h"

#include "api-gateway/src/domain/testing/gateway_fixture.h"
#include "api-gateway/src/openapi_document.h"

// Objects: reads from the cache, mutations to their owners.
namespace dispatch::gateway::resource_test {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ResourceTest : public testing::GatewayTest {
 protected:
  // Plays an owner that stores what it is told: state record first, as the outbox may be quick.
  void ServeKind(const std::string& service, const std::string& kind) {
    for (const char* verb : {"create", "update", "delete"}) {
      Serve(service, kind + "." + verb, [this](const auto& request) {
        requests_.push_back(request);
        return answer_(request);
      });
    }
  }

  broker::RpcReply Stored(const std::string& kind, const std::string& name,
                          const std::string& document) {
    broker::RpcReply reply{json::Parse(document).value(), kind, "acme/" + name, version_ + 1};
    reply.body.as_object()["revision"] = version_ + 1;
    loop_.After(std::chrono::milliseconds(30), [=, this] {
      PutState(kind == schema::kFunctionKind ? kFunctionManager : kEventManager, kind, "acme", name,
               document);
    });
    return reply;
  }

  std::vector<schema::Request> requests_;
  std::function<Result<broker::RpcReply>(const schema::Request&)> answer_;
};

TEST_F(ResourceTest, CreateAnswersWhenTheCacheHasIt) {
  ServeKind(kEventManager, "topic");
  answer_ = [this](const auto&) { return Stored("topic", "orders", R"({"name":"orders"})"); };
  auto answer = Send("POST", "/v1/topics", R"({"name":"orders","partitions":4})",
                     {{"Idempotency-Key", "once"}, {"Content-Type", "application/json"}});
  ASSERT_EQ(answer.status, 201) << answer.body;
  std::string revision = std::to_string(version_);
  EXPECT_EQ(answer.Header("Location"), "/v1/topics/orders");
  EXPECT_EQ(answer.Header("ETag"), "\"" + revision + "\"");
  EXPECT_EQ(answer.Header("X-Dispatch-Version"), "topic/acme/orders@" + revision);
  EXPECT_EQ(Send("GET", "/v1/topics/orders").status, 200);
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].method, "topic.create");
  EXPECT_EQ(requests_[0].org, "acme");
  EXPECT_EQ(requests_[0].principal.kind, "key");
  EXPECT_EQ(requests_[0].principal.id, auth::KeyText::Parse(key_)->id);
  EXPECT_EQ(requests_[0].idempotency_key, "once");
  EXPECT_EQ(requests_[0].body, R"({"name":"orders","partitions":4})");
}

TEST_F(ResourceTest, AnAnswerMayWaitUntilItIsReady) {
  ServeKind(kFunctionManager, "function");
  answer_ = [this](const auto&) {
    return Stored("function", "f", R"({"name":"f","status":"INITIALIZED"})");
  };
  auto becomes = [this](const std::string& status, bool deleted = false) {
    PutState(kFunctionManager, "function", "acme", "f",
             R"({"name":"f","status":")" + status + "\"}", deleted);
  };
  auto answer_of = [](const testing::RecordedAnswer& waiting) {
    return waiting.response_ ? std::to_string(waiting.response_->status) + waiting.response_->body
                             : "(none)";
  };
  auto created = Begin("POST", "/v1/function?wait=READY", R"({"name":"f"})",
                       {{"Content-Type", "application/json"}});
  loop_.RunFor(std::chrono::seconds(1));
  becomes("CREATING");
  EXPECT_FALSE(created->response_);
  becomes("READY");
  EXPECT_THAT(answer_of(*created), ::testing::StartsWith("201"));
  EXPECT_THAT(answer_of(*created), HasSubstr("READY"));

  becomes("UPDATING");
  const std::string path = "/v1/function/f?wait=READY&timeout=2s";
  auto too_late = Begin("GET", path);
  loop_.RunFor(std::chrono::milliseconds(1'900));
  EXPECT_FALSE(too_late->response_);
  loop_.RunFor(std::chrono::milliseconds(200));
  EXPECT_THAT(answer_of(*too_late), HasSubstr("UPDATING"));
  auto failing = Begin("GET", path);
  becomes("ERROR");
  EXPECT_THAT(answer_of(*failing), HasSubstr("ERROR"));
  becomes("UPDATING");
  auto deleted = Begin("GET", path);
  becomes("UPDATING", true);
  EXPECT_THAT(answer_of(*deleted), ::testing::StartsWith("404"));

  requests_.clear();
  for (const char* wrong : {"wait=SOON", "wait=READY&timeout=x", "wait=READY&timeout=6m"}) {
    auto refused = Send("POST", std::string("/v1/function?") + wrong, R"({"name":"g"})",
                        {{"Content-Type", "application/json"}});
    EXPECT_EQ(refused.status, 400) << wrong;
  }
  EXPECT_TRUE(requests_.empty());
}

TEST_F(ResourceTest, UpdateAndDeleteCarryIfMatch) {
  ServeKind(kEventManager, "subscription");
  answer_ = [this](const auto&) { return Stored("subscription", "s", R"({"name":"s"})"); };
  auto put = Send("PUT", "/v1/subscriptions/s", R"({"topic":"t"})", {{"If-Match", "\"17\""}});
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(requests_[0].method, "subscription.update");
  EXPECT_EQ(requests_[0].if_match, 17);
  EXPECT_EQ(requests_[0].body, R"({"topic":"t","name":"s"})");
  auto deleted = Send("DELETE", "/v1/event/subscriptions/s", "", {{"If-Match", "*"}});
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(deleted.Text("name"), "s");
  EXPECT_EQ(requests_[1].if_match, std::nullopt);
  EXPECT_EQ(requests_[1].body, R"({"name":"s"})");
  EXPECT_EQ(Send("DELETE", "/v1/subscriptions/s", "", {{"If-Match", "17"}}).status, 400);
  auto renamed = Send("PUT", "/v1/subscriptions/s", R"({"name":"other"})");
  EXPECT_EQ(renamed.status, 400);
}

TEST_F(ResourceTest, ErrorsOfTheOwnerBecomeStatuses) {
  ServeKind(kFunctionManager, "function");
  auto status = [this](Code code) {
    answer_ = [code](const auto&) {
      return Error{code, "because", false, {{"url", "must be absolute"}}};
    };
    auto answer = Send("PUT", "/v1/function/f", "{}");
    EXPECT_EQ(answer.Text("message"), "because");
    return answer.status;
  };
  EXPECT_EQ(status(Code::kUnprocessable), 422);
  EXPECT_EQ(status(Code::kAlreadyExists), 409);
  EXPECT_EQ(status(Code::kConflict), 409);
  EXPECT_EQ(status(Code::kPreconditionFailed), 412);
  EXPECT_EQ(status(Code::kNotFound), 404);
  EXPECT_EQ(status(Code::kResourceExhausted), 429);
  auto details = Send("PUT", "/v1/functions/f", "{}").Json().as_object().at("details").as_array();
  EXPECT_EQ(json::GetString(details[0].as_object(), "field"), "url");
}

TEST_F(ResourceTest, WhatBrokeInsideIsForTheLogOnly) {
  ServeKind(kFunctionManager, "function");
  for (auto [code, expected] :
       {std::pair(Code::kUnavailable, 503), std::pair(Code::kDeadlineExceeded, 503),
        std::pair(Code::kFenced, 503), std::pair(Code::kInternal, 500)}) {
    answer_ = [code = code](const auto&) {
      return Error{code, "connection to server at 10.0.0.7, port 5432 failed", true, {}};
    };
    ::testing::internal::CaptureStderr();
    auto answer = Send("PUT", "/v1/function/f", "{}");
    std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(answer.status, expected);
    EXPECT_THAT(answer.body, Not(HasSubstr("10.0.0.7")));
    EXPECT_THAT(answer.Text("message"), HasSubstr("function-manager"));
    EXPECT_THAT(log, HasSubstr("10.0.0.7, port 5432"));
    EXPECT_THAT(log, HasSubstr(answer.Text("requestId")));
  }
}

TEST_F(ResourceTest, BodiesMustBeJsonObjects) {
  EXPECT_EQ(Send("POST", "/v1/topics", "[]").status, 400);
  EXPECT_EQ(Send("POST", "/v1/topics", "{").status, 400);
  EXPECT_EQ(Send("POST", "/v1/topics", "").status, 400);
  EXPECT_EQ(Send("POST", "/v1/topics", R"({"name":"a","name":"b"})").status, 400);
  auto form =
      Send("POST", "/v1/topics", "{}", {{"Content-Type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(form.status, 415);
}

TEST_F(ResourceTest, AnAbsentOwnerIs503) {
  auto answer = Send("POST", "/v1/topics", R"({"name":"a"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.Header("Retry-After"), "(none)");
}

TEST_F(ResourceTest, ListsPageAndSelect) {
  for (const char* name : {"d", "b", "a", "c"}) {
    std::string team = *name < 'c' ? "x" : "y";
    PutState(kEventManager, "topic", "acme", name,
             std::string(R"({"name":")") + name + R"(","tags":[{"key":"team","value":")" + team +
                 R"("}],"internal":{"secret":1}})");
  }
  auto names = [](const testing::Answer& answer) {
    std::string all;
    for (const auto& topic : answer.Json().as_array()) {
      all += json::GetString(topic.as_object(), "name");
    }
    return all;
  };
  auto whole = Send("GET", "/v1/topics");
  EXPECT_EQ(names(whole), "abcd");
  EXPECT_EQ(whole.Header("Link"), "(none)");
  EXPECT_THAT(whole.body, ::testing::Not(HasSubstr("internal")));
  auto first = Send("GET", "/v1/topics?limit=3&tags=team=x&tags=team=x");
  EXPECT_EQ(names(first), "ab");
  EXPECT_EQ(first.Header("Link"), "(none)");
  auto page = Send("GET", "/v1/topics?limit=3");
  EXPECT_EQ(names(page), "abc");
  EXPECT_EQ(page.Header("Link"), "</v1/topics?limit=3&cursor=c>; rel=\"next\"");
  EXPECT_EQ(names(Send("GET", "/v1/topics?limit=3&cursor=c")), "d");
  EXPECT_EQ(names(Send("GET", "/v1/topics?tags=team=y")), "cd");
  for (const char* bad : {"limit=0", "limit=x", "limit=1001", "tags=team"}) {
    EXPECT_EQ(Send("GET", std::string("/v1/topics?") + bad).status, 400) << bad;
  }
}

TEST_F(ResourceTest, ObjectsShowIdAndRevision) {
  PutState(kEventManager, "topic", "acme", "a", R"({"name":"a"})");
  auto answer = Send("GET", "/v1/topics/a");
  EXPECT_EQ(answer.Text("id").size(), 36u);
  EXPECT_EQ(json::GetInt(answer.Json().as_object(), "revision"), version_);
  EXPECT_EQ(answer.Header("ETag"), "\"" + std::to_string(version_) + "\"");
}

TEST_F(ResourceTest, SubscriptionsShowStatisticsWhenThereAreSome) {
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s","topic":"t"})");
  auto without = Send("GET", "/v1/subscriptions/s");
  EXPECT_EQ(without.status, 200);
  EXPECT_FALSE(without.Json().as_object().contains("statistics"));
  Serve(kEventManager, "lag.get", [](const schema::Request& request) -> Result<broker::RpcReply> {
    json::object lag{{"name", "s"}, {"topic", "t"}, {"matched", 7}, {"asked", request.body}};
    return broker::RpcReply{json::object{{"subscriptions", json::array{lag}}}};
  });
  auto with = Send("GET", "/v1/event/subscriptions/s");
  EXPECT_EQ(*json::GetObject(with.Json().as_object(), "statistics"),
            (json::object{{"matched", 7}, {"asked", R"({"subscription":"s"})"}}));
  EXPECT_THAT(Send("GET", "/v1/lag").body, HasSubstr(R"("asked":"{\"limit\":1000}")"));
}

TEST_F(ResourceTest, LagHistoryIsOfWhatTheKeyMayRead) {
  json::value asked;
  Serve(kEventManager, "lag.history", [&](const auto& request) -> Result<broker::RpcReply> {
    asked = json::Parse(request.body).value();
    return broker::RpcReply{json::object{{"subscriptions", json::array{{{"name", "a"}}}}}};
  });
  key_ = PutKey("acme", R"(["read:subscription/a"])");
  auto answer = Send("GET",
                     "/v1/lag/history?subscription=a&subscription=b&from=2026-01-01T00:00:00Z"
                     "&to=2026-01-01T00:01:00Z&step=30s");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(
      answer.body,
      R"({"from":"2026-01-01T00:00:00.000Z","to":"2026-01-01T00:01:00.000Z","stepSeconds":30,)"
      R"("subscriptions":[{"name":"a"}]})");
  EXPECT_EQ(json::Serialize(asked),
            R"({"subscriptions":["a"],"from":1767225600000,"step":30000,"count":2,)"
            R"("partitions":false})");
  auto refused = Send("GET", "/v1/lag/history?subscription=a&step=1s");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr(R"("field":"step")"));
  key_ = PutKey("acme", R"(["read:topic/t"])");
  EXPECT_EQ(Send("GET", "/v1/lag/history?subscription=a").status, 403);
}

TEST_F(ResourceTest, BlockingKeysAreForWhoMaySeePayloads) {
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s","topic":"t"})");
  Serve(kEventManager, "lag.blocking", [](const auto& request) -> Result<broker::RpcReply> {
    return broker::RpcReply{json::array{json::Parse(request.body).value()}};
  });
  EXPECT_EQ(Send("GET", "/v1/subscriptions/s/blocking-keys").body, R"([{"subscription":"s"}])");
  EXPECT_EQ(Send("GET", "/v1/subscriptions/t/blocking-keys").status, 404);
  key_ = PutKey("acme", R"(["read"])");
  EXPECT_EQ(Send("GET", "/v1/subscriptions/s/blocking-keys").status, 403);
}

TEST_F(ResourceTest, LagShowsWhatTheKeyMayRead) {
  Serve(kEventManager, "lag.get", [](const auto&) -> Result<broker::RpcReply> {
    return broker::RpcReply{json::Parse(R"({"subscriptions":[{"name":"a"},{"name":"b"}],
                                            "topics":[{"name":"t"}]})")
                                .value()};
  });
  EXPECT_EQ(Send("GET", "/v1/lag").body,
            R"({"subscriptions":[{"name":"a"},{"name":"b"}],"topics":[{"name":"t"}]})");
  key_ = PutKey("acme", R"(["read:subscription/a"])");
  EXPECT_EQ(Send("GET", "/v1/lag").body, R"({"subscriptions":[{"name":"a"}],"topics":[]})");
  key_ = PutKey("acme", R"(["read:topic/t"])");
  EXPECT_EQ(Send("GET", "/v1/lag").status, 403);
}

TEST_F(ResourceTest, PauseAndResume) {
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s"})");
  std::vector<std::string> methods;
  for (const char* verb : {"pause", "resume"}) {
    Serve(kEventManager, std::string("subscription.") + verb, [&](const auto& request) {
      methods.push_back(request.method + request.body);
      return Stored("subscription", "s", R"({"name":"s"})");
    });
    EXPECT_EQ(Send("POST", std::string("/v1/subscriptions/s/") + verb).status, 200);
  }
  EXPECT_THAT(methods, ElementsAre("subscription.pause{\"name\":\"s\"}",
                                   "subscription.resume{\"name\":\"s\"}"));
}

TEST_F(ResourceTest, KeysAreShownOnceAndGiveNoMoreThanTheirMakerHas) {
  Serve(kIdentity, "apikey.create", [](const schema::Request&) -> Result<broker::RpcReply> {
    return broker::RpcReply{
        json::object{{"id", "abc"}, {"name", "ci"}, {"key", "dsp_x_y"}, {"internal", "no"}}};
  });
  auto made = Send("POST", "/v1/iam/keys", R"({"name":"ci","scopes":["publish"]})");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.Text("key"), "dsp_x_y");
  EXPECT_EQ(made.Header("Location"), "/v1/iam/keys/abc");
  EXPECT_FALSE(made.Json().as_object().contains("internal"));
  EXPECT_EQ(Send("POST", "/v1/iam/keys", R"({"name":"ci","scopes":[],"global":true})").status, 403);
  EXPECT_EQ(Send("POST", "/v1/iam/keys", R"({"name":"ci","scopes":["fly"]})").status, 422);
  auto listed = Send("GET", "/v1/iam/keys");
  EXPECT_THAT(listed.body, ::testing::Not(HasSubstr("hmac")));

  key_ = PutKey("acme", R"(["admin:apikey/*","admin:policy/*","publish:topic/a*"])");
  auto scope = [this](const std::string& text) {
    return Send("POST", "/v1/iam/keys", R"({"name":"ci","scopes":[")" + text + "\"]}").status;
  };
  EXPECT_EQ(scope("publish:topic/ab"), 201);
  EXPECT_EQ(scope("publish:topic/ab*"), 201);
  EXPECT_EQ(scope("publish"), 403);
  EXPECT_EQ(scope("admin"), 403);
  auto policy =
      Send("POST", "/v1/iam/policy",
           R"({"name":"p","rules":[{"subjects":["*"],"actions":["*"],"resources":["*"]}]})");
  EXPECT_EQ(policy.status, 403);
}

TEST_F(ResourceTest, OrganizationsSeeThemselves) {
  PutOrganization("other");
  EXPECT_EQ(Send("GET", "/v1/iam/organization").Json().as_array().size(), 1u);
  EXPECT_EQ(Send("GET", "/v1/iam/organization/acme").status, 200);
  EXPECT_EQ(Send("GET", "/v1/iam/organization/other").status, 404);
  EXPECT_EQ(Send("POST", "/v1/iam/organization", R"({"name":"new"})").status, 403);
  EXPECT_EQ(Send("PUT", "/v1/iam/organization/other", "{}").status, 403);
  EXPECT_EQ(Send("DELETE", "/v1/iam/organization/other").status, 403);
  PutOrganization("admin");
  key_ = PutKey("admin", R"(["admin"])", R"("status":"ACTIVE","global":true)");
  EXPECT_EQ(Send("GET", "/v1/iam/organization").Json().as_array().size(), 3u);
  EXPECT_EQ(Send("GET", "/v1/iam/organization/other").status, 200);
}

TEST_F(ResourceTest, DeadLettersAndDeliveries) {
  EXPECT_EQ(Send("GET", "/v1/subscriptions/s/dead-letters").status, 404);
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s","topic":"orders"})");
  std::string body;
  auto page = [&](const schema::Request& request) -> Result<broker::RpcReply> {
    body = request.body;
    return broker::RpcReply{json::object{{"items", json::array{1, 2}}, {"next", "n&1"}}};
  };
  for (const char* method : {"deadletter.list", "delivery.list"})
    Serve(kFunctionManager, method, page);
  auto answer = Send("GET", "/v1/subscriptions/s/dead-letters?limit=2&cursor=c");
  EXPECT_EQ(answer.body, "[1,2]");
  EXPECT_EQ(answer.Header("Link"),
            "</v1/subscriptions/s/dead-letters?limit=2&cursor=n%261>; rel=\"next\"");
  auto asked = json::ParseObject(body).value();
  EXPECT_EQ(json::GetString(asked, "subscription"), "s");
  EXPECT_EQ(json::GetInt(asked, "limit"), 2);
  EXPECT_EQ(json::GetString(asked, "cursor"), "c");
  EXPECT_EQ(Send("GET", "/v1/subscriptions/s/deliveries?status=retry").status, 200);
  EXPECT_THAT(body, HasSubstr("\"status\":\"retry\""));
}

TEST_F(ResourceTest, PurgesDeadLettersByFilter) {
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s","topic":"orders"})");
  int purges = 0;
  std::string body;
  Serve(kFunctionManager, "deadletter.purge",
        [&](const schema::Request& request) -> Result<broker::RpcReply> {
          ++purges;
          auto asked = json::ParseObject(request.body).value();
          EXPECT_EQ(asked.stable_erase("subscriptionId"), 1u);
          body = json::Serialize(asked);
          return broker::RpcReply{json::object{{"purged", 3}, {"left", 0}}};
        });
  std::string path = "/v1/subscriptions/s/dead-letters";
  EXPECT_EQ(Send("DELETE", path + "?resaon=rejected").status, 400) << "would remove everything";
  EXPECT_EQ(Send("DELETE", path + "?reason=").status, 400);
  EXPECT_EQ(purges, 0);
  auto answer = Send("DELETE", path + "?reason=rejected&status=404");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"purged":3,"left":0})");
  EXPECT_EQ(body, R"({"subscription":"s","reason":"rejected","status":"404"})");
  key_ = PutKey("acme", R"(["read-runs"])");
  EXPECT_EQ(Send("DELETE", path).status, 403);
}

TEST_F(ResourceTest, RedrivesDeadLetters) {
  PutState(kEventManager, "subscription", "acme", "s", R"({"name":"s","topic":"orders"})");
  std::vector<std::string> bodies;
  auto serve = [&](const char* method) {
    Serve(kFunctionManager, method, [&](const schema::Request& request) {
      auto body = json::ParseObject(request.body).value();
      EXPECT_EQ(body.stable_erase("subscriptionId"), 1u);
      bodies.push_back(request.method + " " + json::Serialize(body));
      return broker::RpcReply{json::object{{"id", "j"}}};
    });
  };
  for (const char* method : {"redrive.create", "redrive.list", "redrive.get", "redrive.cancel"}) {
    serve(method);
  }
  std::string path = "/v1/subscriptions/s/dead-letters/redrive";
  EXPECT_EQ(Send("POST", path).status, 202) << "all of them";
  EXPECT_EQ(Send("POST", path, R"({"rate":{"events":5},"subscription":"other"})").status, 202);
  EXPECT_EQ(Send("POST", path, "[]").status, 400);
  EXPECT_EQ(Send("GET", path).status, 200);
  EXPECT_EQ(Send("GET", path + "/j").status, 200);
  EXPECT_EQ(Send("DELETE", path + "/j").status, 200);
  EXPECT_EQ(bodies,
            (std::vector<std::string>{R"(redrive.create {"subscription":"s"})",
                                      R"(redrive.create {"rate":{"events":5},"subscription":"s"})",
                                      R"(redrive.list {"subscription":"s"})",
                                      R"(redrive.get {"subscription":"s","id":"j"})",
                                      R"(redrive.cancel {"subscription":"s","id":"j"})"}));
  key_ = PutKey("acme", R"(["read-runs"])");
  EXPECT_EQ(Send("POST", path).status, 403);
  EXPECT_EQ(Send("GET", path).status, 403);
}

TEST_F(ResourceTest, WhereIsMyEvent) {
  PutTopic("acme", "orders");
  PutState(kEventManager, "subscription", "acme", "late",
           R"({"name":"late","topic":"orders","internal":{"boundaries":[0,8]}})");
  PutState(kEventManager, "subscription", "acme", "quiet", R"({"name":"quiet","topic":"orders"})");
  PutState(kEventManager, "subscription", "acme", "told", R"({"name":"told","topic":"orders"})");
  PutState(kEventManager, "subscription", "acme", "elsewhere", R"({"name":"elsewhere"})");
  PutState(kEventManager, "subscription", "acme", "behind",
           R"({"name":"behind","topic":"orders"})");
  Serve(kEventManager, "lag.get", [](const auto&) -> Result<broker::RpcReply> {
    json::array at_seven{json::object{{"next", 0}}, json::object{{"next", 7}}};
    json::array past{json::object{{"next", 0}}, json::object{{"next", 8}}};
    return broker::RpcReply{json::object{
        {"subscriptions", json::array{json::object{{"name", "behind"}, {"partitions", at_seven}},
                                      json::object{{"name", "quiet"}, {"partitions", past}}}}}};
  });
  Serve(kFunctionManager, "delivery.byPosition", [](const auto&) -> Result<broker::RpcReply> {
    return broker::RpcReply{json::object{
        {"items", json::array{json::object{{"subscription", "told"}, {"status", "delivered"}}}}}};
  });
  auto answer = Send("GET", "/v1/topics/orders/events/1/7/deliveries");
  ASSERT_EQ(answer.status, 200) << answer.body;
  std::map<std::string, std::string> statuses;
  for (const auto& delivery : answer.Json().as_object().at("deliveries").as_array()) {
    statuses[json::GetString(delivery.as_object(), "subscription")] =
        json::GetString(delivery.as_object(), "status");
  }
  EXPECT_EQ(statuses, (std::map<std::string, std::string>{{"behind", "UNREAD"},
                                                          {"late", "BEFORE_START"},
                                                          {"quiet", "NO_RECORD"},
                                                          {"told", "delivered"}}));
  EXPECT_EQ(Send("GET", "/v1/topics/orders/events/2/7/deliveries").status, 404);
  EXPECT_EQ(Send("GET", "/v1/topics/orders/events/x/7/deliveries").status, 400);
  EXPECT_EQ(Send("GET", "/v1/topics/none/events/0/7/deliveries").status, 404);
}

TEST_F(ResourceTest, EveryRouteIsInTheOpenApiDocument) {
  auto document = json::ParseObject(OpenApiDocument());
  ASSERT_TRUE(document.ok()) << document.message();
  auto paths = document->at("paths").as_object();
  std::set<std::pair<std::string, std::string>> described;
  for (const auto& [path, item] : paths) {
    const json::object* operations = &item.as_object();
    if (const auto* reference = operations->if_contains("$ref")) {
      // "#/paths/~1v1~1topics"
      std::string target(reference->as_string().subview(8));
      for (size_t at; (at = target.find("~1")) != std::string::npos;) target.replace(at, 2, "/");
      ASSERT_TRUE(paths.contains(target)) << path;
      operations = &paths.at(target).as_object();
    }
    for (const char* method : {"get", "post", "put", "delete", "options"}) {
      if (!operations->contains(method)) continue;
      std::string upper = method;
      for (char& c : upper) c = static_cast<char>(c - 32);
      described.emplace(upper, path);
    }
  }
  auto routes = gateway_.routes();
  EXPECT_EQ(described, std::set(routes.begin(), routes.end()));
}

}  // namespace dispatch::gateway::resource_test
