#include "api-gateway/src/domain/lag_streams.h"

#include "api-gateway/src/domain/testing/gateway_fixture.h"

namespace dispatch::gateway::lag_streams_test {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

/// event-manager says what `rows_` holds: matched by name.
class LagStreamsTest : public testing::GatewayTest {
 protected:
  LagStreamsTest() {
    Serve(kEventManager, "lag.get",
          [this](const schema::Request& request) -> Result<broker::RpcReply> {
            ++asked_;
            if (fault_) return *fault_;
            auto question = json::ParseObject(request.body);
            std::string after = json::GetString(*question, "after");
            json::array rows;
            std::string next;
            for (auto row = rows_.upper_bound(after); row != rows_.end(); ++row) {
              if (rows.size() == page_) break;
              // What only time changes differs each time.
              rows.push_back({{"name", row->first},
                              {"matched", row->second},
                              {"oldestUndeliveredSeconds", asked_}});
              next = row->first;
            }
            broker::RpcReply reply;
            json::object body{{"subscriptions", rows},
                              {"topics", json::array{json::object{{"name", "orders"}}}}};
            if (!next.empty() && next != rows_.rbegin()->first) body["next"] = next;
            reply.body = std::move(body);
            return reply;
          });
  }
  std::shared_ptr<testing::RecordedAnswer> Follow() {
    auto writer = Begin("GET", "/v1/lag?follow=true");
    EXPECT_TRUE(loop_.RunUntil(
        [&] { return writer->stream_.has_value() || writer->response_.has_value(); }, 20s));
    return writer;
  }
  static std::string Take(const std::shared_ptr<testing::RecordedAnswer>& writer) {
    return std::exchange(writer->stream_->body, "");
  }

  std::map<std::string, int> rows_{{"a", 1}, {"b", 2}};
  size_t page_ = 1'000;
  int asked_ = 0;
  std::optional<Error> fault_;
};

TEST_F(LagStreamsTest, TheWholeBoardFirstThenWhatChanged) {
  auto writer = Follow();
  ASSERT_TRUE(writer->stream_);
  EXPECT_EQ(writer->stream_->headers.Get("Content-Type"), "text/event-stream");
  std::string first = Take(writer);
  EXPECT_THAT(first, HasSubstr(R"("whole":true)"));
  EXPECT_THAT(first, HasSubstr(R"("name":"a")"));
  EXPECT_THAT(first, HasSubstr(R"("name":"b")"));
  EXPECT_THAT(first, HasSubstr(R"("name":"orders")"));
  loop_.RunFor(5s);
  EXPECT_THAT(Take(writer), Not(HasSubstr("event: lag")));
  rows_["b"] = 3;
  rows_["c"] = 4;
  loop_.RunFor(2s);
  std::string second = Take(writer);
  EXPECT_THAT(second, HasSubstr(R"("whole":false)"));
  EXPECT_THAT(second, Not(HasSubstr(R"("name":"a")")));
  EXPECT_THAT(second, HasSubstr(R"("name":"b","matched":3)"));
  EXPECT_THAT(second, HasSubstr(R"("name":"c")"));
  rows_.erase("a");
  loop_.RunFor(2s);
  EXPECT_THAT(Take(writer), HasSubstr(R"("subscriptionsRemoved":["a"])"));
}

TEST_F(LagStreamsTest, PagesMakeOneBoard) {
  page_ = 2;
  for (char c = 'a'; c < 'h'; ++c) rows_[std::string(1, c)] = c;
  std::string first = Take(Follow());
  for (char c = 'a'; c < 'h'; ++c) {
    EXPECT_THAT(first, HasSubstr(fmt::format(R"("name":"{}")", c)));
  }
  auto whole = Send("GET", "/v1/lag");
  EXPECT_EQ(whole.Json().at("subscriptions").as_array().size(), 7u);
  EXPECT_EQ(whole.Json().at("topics").as_array().size(), 1u);
}

TEST_F(LagStreamsTest, WhoeverFollowsEventManagerIsAskedOnceASecond) {
  auto first = Follow();
  auto second = Follow();
  int before = asked_;
  loop_.RunFor(10s);
  EXPECT_LE(asked_ - before, 11);
  EXPECT_GE(asked_ - before, 8);
  first->Close();
  second->Close();
  EXPECT_EQ(lag_streams_.size(), 0u);
  loop_.RunFor(2s);
  before = asked_;
  loop_.RunFor(60s);
  EXPECT_EQ(asked_, before);
}

TEST_F(LagStreamsTest, ASilentEventManagerIsTold) {
  auto writer = Follow();
  Take(writer);
  fault_ = Error{Code::kUnavailable, "away", true};
  loop_.RunFor(5s);
  std::string text = Take(writer);
  EXPECT_THAT(text, HasSubstr("event: stale\n"));
  EXPECT_EQ(text.find("event: stale"), text.rfind("event: stale"));
  fault_.reset();
  loop_.RunFor(2s);
  EXPECT_THAT(Take(writer), HasSubstr("event: lag\n"));
  fault_ = Error{Code::kUnavailable, "away", true};
  EXPECT_EQ(Follow()->response_->status, 503);
}

TEST_F(LagStreamsTest, OneThatIsNotHeardIsToldWithSinceWhenAndIsBackAtOnce) {
  Heartbeat(kEventManager);
  auto writer = Follow();
  Take(writer);
  servers_.clear();
  loop_.RunFor(5s);
  EXPECT_THAT(Take(writer),
              HasSubstr(R"(data: {"reason":"event-manager is not heard","since":"2)"));
  auto plain = Send("GET", "/v1/lag");
  EXPECT_EQ(plain.status, 503);
  EXPECT_THAT(plain.Text("message"), HasSubstr("event-manager was not heard since 2"));
  loop_.RunFor(20s);
  Serve(kEventManager, "lag.get", [](const schema::Request&) -> Result<broker::RpcReply> {
    broker::RpcReply reply;
    reply.body = json::object{{"subscriptions", json::array()}, {"topics", json::array()}};
    return reply;
  });
  loop_.RunFor(3s);
  EXPECT_THAT(Take(writer), HasSubstr("event: lag\n"));
}

TEST_F(LagStreamsTest, WhatADeadInstanceDoesNotAnswerIsAskedAgain) {
  servers_[kEventManager]->Handle(
      "lag.get", [this](const schema::Request&, broker::RpcServer::Responder respond) {
        if (++asked_ < 3) return;
        broker::RpcReply reply;
        reply.body = json::object{{"subscriptions", json::array()}, {"topics", json::array()}};
        respond(std::move(reply));
      });
  EXPECT_EQ(Send("GET", "/v1/lag").status, 200);
  EXPECT_EQ(asked_, 3);
  loop_.RunFor(5s);
  EXPECT_EQ(asked_, 3) << "and not after the answer";
}

TEST_F(LagStreamsTest, WaitingForADeadInstanceIsNoReasonToLookSeldomer) {
  servers_[kEventManager]->Handle(
      "lag.get", [this](const schema::Request&, broker::RpcServer::Responder respond) {
        if (++asked_ < 6) return;
        broker::RpcReply reply;
        reply.body = json::object{{"subscriptions", json::array()}, {"topics", json::array()}};
        respond(std::move(reply));
      });
  auto writer = Follow();
  ASSERT_TRUE(writer->stream_);
  EXPECT_EQ(asked_, 6);
  loop_.RunFor(500ms);
  EXPECT_EQ(asked_, 7);
}

TEST_F(LagStreamsTest, WhoReadsSlowlyGetsTheWholeBoardLater) {
  auto writer = Follow();
  writer->full_ = true;
  rows_["b"] = 3;
  loop_.RunFor(2s);
  Take(writer);
  rows_["a"] = 7;
  loop_.RunFor(2s);
  EXPECT_EQ(Take(writer), "");
  writer->Drain();
  loop_.RunFor(2s);
  std::string text = Take(writer);
  EXPECT_THAT(text, HasSubstr(R"("whole":true)"));
  EXPECT_THAT(text, HasSubstr(R"("name":"b","matched":3)"));
}

TEST_F(LagStreamsTest, AKeySeesWhatItMayRead) {
  std::string admin = key_;
  key_ = PutKey("acme", R"(["read:subscription/a*"])");
  std::string text = Take(Follow());
  EXPECT_THAT(text, HasSubstr(R"("name":"a")"));
  EXPECT_THAT(text, Not(HasSubstr(R"("name":"b")")));
  EXPECT_THAT(text, Not(HasSubstr("orders")));
}

TEST_F(LagStreamsTest, EndsWhenTheKeyGoesOrTheGatewayStops) {
  auto first = Follow();
  std::string id = auth::KeyText::Parse(key_)->id;
  PutState(kIdentity, schema::kApiKeyKind, "acme", id,
           R"({"status":"REVOKED","scopes":["admin"]})");
  loop_.RunFor(20s);
  EXPECT_TRUE(first->ended_);
  EXPECT_THAT(first->stream_->body, HasSubstr("event: end"));
  key_ = PutKey("acme", R"(["admin"])");
  auto second = Follow();
  lag_streams_.Stop();
  EXPECT_TRUE(second->ended_);
  EXPECT_EQ(Follow()->response_->status, 503);
}

TEST_F(LagStreamsTest, AnOrganizationHasItsShare) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Follow()->stream_);
  EXPECT_EQ(Follow()->response_->status, 429);
}

}  // namespace dispatch::gateway::lag_streams_test
