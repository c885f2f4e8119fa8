#include "api-gateway/src/domain/run_streams.h"

#include "api-gateway/src/domain/testing/gateway_fixture.h"

namespace dispatch::gateway::run_streams_test {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

/// function-manager says what `changes_` holds, once.
class RunStreamsTest : public testing::GatewayTest {
 protected:
  RunStreamsTest() {
    Serve(kFunctionManager, "run.changes",
          [this](const schema::Request& request) -> Result<broker::RpcReply> {
            asked_.push_back(*json::ParseObject(request.body));
            if (fault_) return *fault_;
            broker::RpcReply reply;
            reply.body = json::object{{"items", std::exchange(changes_, {})},
                                      {"next", std::to_string(asked_.size()) + ".7"},
                                      {"cut", std::exchange(cut_, false)}};
            return reply;
          });
  }
  std::shared_ptr<testing::RecordedAnswer> Follow(const std::string& query = "",
                                                  Fields fields = {}) {
    auto writer = Begin("GET", "/v1/runs?follow=true" + query, "", std::move(fields));
    EXPECT_TRUE(loop_.RunUntil(
        [&] { return writer->stream_.has_value() || writer->response_.has_value(); }, 20s));
    return writer;
  }
  void Change(const std::string& run) { changes_.push_back({{"name", run}, {"status", "READY"}}); }

  std::vector<json::object> asked_;
  json::array changes_;
  bool cut_ = false;
  std::optional<Error> fault_;
};

TEST_F(RunStreamsTest, TellsEachChangeWithWhereToGoOn) {
  auto writer = Follow("&functionName=hello&status=ERROR");
  EXPECT_EQ(writer->stream_->status, 200);
  EXPECT_EQ(writer->stream_->headers.Get("Content-Type"), "text/event-stream");
  EXPECT_EQ(json::GetString(asked_[0], "functionName"), "hello");
  EXPECT_EQ(json::GetString(asked_[0], "status"), "ERROR");
  EXPECT_FALSE(asked_[0].contains("after"));
  EXPECT_THAT(writer->stream_->body, HasSubstr("id: 1.7\n\n"));
  Change("a");
  Change("b");
  loop_.RunFor(2s);
  EXPECT_THAT(writer->stream_->body, HasSubstr(R"(data: {"name":"a","status":"READY"})"));
  EXPECT_THAT(writer->stream_->body, HasSubstr("id: 2.7\ndata: {\"name\":\"b\""));
  EXPECT_EQ(json::GetString(asked_[2], "after"), "2.7");
  cut_ = true;
  loop_.RunFor(2s);
  EXPECT_THAT(writer->stream_->body, HasSubstr("event: lost\n"));
}

TEST_F(RunStreamsTest, GoesOnWhereTheLastOneEnded) {
  Follow("", {{"Last-Event-ID", "55.6"}});
  EXPECT_EQ(json::GetString(asked_[0], "after"), "55.6");
}

TEST_F(RunStreamsTest, NobodyFollowsNobodyAsks) {
  loop_.RunFor(60s);
  EXPECT_TRUE(asked_.empty());
  auto writer = Follow();
  EXPECT_EQ(run_streams_.size(), 1u);
  writer->Close();
  EXPECT_EQ(run_streams_.size(), 0u);
  loop_.RunFor(1s);
  size_t before = asked_.size();
  loop_.RunFor(60s);
  EXPECT_EQ(asked_.size(), before);
}

TEST_F(RunStreamsTest, AFaultAtFirstIsTheAnswerAndALaterOneIsSatOut) {
  fault_ = Error{Code::kInvalidArgument, "Last-Event-ID: give the id of an event of this stream"};
  EXPECT_EQ(Follow()->response_->status, 400);
  EXPECT_EQ(run_streams_.size(), 0u);
  fault_.reset();
  auto writer = Follow();
  fault_ = Error{Code::kUnavailable, "no database", true};
  loop_.RunFor(5s);
  fault_.reset();
  Change("late");
  loop_.RunFor(2s);
  EXPECT_THAT(writer->stream_->body, HasSubstr("late"));
}

TEST_F(RunStreamsTest, WhoReadsSlowlyIsNotAskedFor) {
  auto writer = Follow();
  writer->full_ = true;
  Change("one");
  loop_.RunFor(2s);
  size_t before = asked_.size();
  Change("two");
  loop_.RunFor(30s);
  EXPECT_EQ(asked_.size(), before);
  EXPECT_THAT(writer->stream_->body, Not(HasSubstr("two")));
  writer->Drain();
  loop_.RunFor(2s);
  EXPECT_THAT(writer->stream_->body, HasSubstr("two"));
}

TEST_F(RunStreamsTest, EndsWithAReasonWhenTheGatewayStopsOrTheKeyGoes) {
  auto first = Follow();
  loop_.RunFor(61min);
  EXPECT_TRUE(first->ended_);
  EXPECT_THAT(first->stream_->body, HasSubstr(": heartbeat"));
  EXPECT_THAT(first->stream_->body, HasSubstr("event: end\ndata: {\"reason\":\"long enough"));
  for (const char* service : {kIdentity, kEventManager, kFunctionManager}) Heartbeat(service);
  auto second = Follow();
  ASSERT_TRUE(second->stream_);
  run_streams_.Stop();
  EXPECT_TRUE(second->ended_);
  EXPECT_THAT(second->stream_->body, HasSubstr("the gateway stops"));
  EXPECT_EQ(Follow()->response_->status, 503);
}

TEST_F(RunStreamsTest, AnOrganizationHasItsShare) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Follow()->stream_);
  EXPECT_EQ(Follow()->response_->status, 429);
}

}  // namespace dispatch::gateway::run_streams_test
