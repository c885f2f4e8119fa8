#include <fmt/format.h>

#include <set>

#include "api-gateway/src/domain/testing/gateway_fixture.h"

namespace dispatch::gateway::browse_test {
namespace {

using namespace std::chrono_literals;
using testing::Answer;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RecordedAnswer;

class Browse : public testing::GatewayTest {
 protected:
  Browse() { PutTopic("acme", "orders"); }

  // One event into a partition; its number is its id and in its data.
  void Put(int number, int32_t partition = 0, const std::string& type = "made") {
    broker::ProduceRecord record{.topic = "acme.orders", .partition = partition};
    record.value = fmt::format("{{\"n\":\n{}}}", number);
    record.headers = {{"content-type", "application/json"},
                      {"ce_specversion", "1.0"},
                      {"ce_id", std::to_string(number)},
                      {"ce_source", "/t"},
                      {"ce_type", type}};
    bool written = false;
    EXPECT_TRUE(state_->Produce(std::move(record), [&](auto) { written = true; }).ok());
    EXPECT_TRUE(loop_.RunUntil([&] { return written; }));
    loop_.RunFor(2ms);
  }
  void PutMany(int first, int last, int32_t partition = 0) {
    for (int i = first; i <= last; ++i) Put(i, partition);
  }

  Answer Page(const std::string& query) { return Send("GET", "/v1/topics/orders/events" + query); }

  static std::vector<std::string> Ids(const Answer& answer) {
    std::vector<std::string> ids;
    for (const auto& item : answer.Json().as_array()) {
      ids.push_back(json::GetString(*json::GetObject(item.as_object(), "event"), "id"));
    }
    return ids;
  }
  std::shared_ptr<RecordedAnswer> Follow(const std::string& query = "", Fields fields = {}) {
    auto writer =
        Begin("GET", "/v1/topics/orders/events?follow=true" + query, "", std::move(fields));
    EXPECT_TRUE(loop_.RunUntil([&] { return writer->stream_ || writer->response_; }, 10s));
    loop_.RunFor(50ms);
    return writer;
  }
  static size_t CountOf(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
    return count;
  }
};

TEST_F(Browse, APageShowsEventsAsTheyAreByTime) {
  Put(1, 0);
  Put(2, 1);
  Put(3, 0);
  auto answer = Page("");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(Ids(answer), (std::vector<std::string>{"1", "2", "3"}));
  const auto& last = answer.Json().at(2).as_object();
  EXPECT_EQ(json::GetInt(last, "partition"), 0);
  EXPECT_EQ(json::GetInt(last, "offset"), 1);
  EXPECT_EQ(json::GetInt(*json::GetObject(*json::GetObject(last, "event"), "data"), "n"), 3);
  EXPECT_EQ(answer.Header("Link"), "(none)");
  EXPECT_EQ(answer.Header("X-Dispatch-Position"), "0:2,1:1");
}

TEST_F(Browse, LinksLeadThroughEverythingOnce) {
  PutMany(1, 7, 0);
  PutMany(8, 12, 1);
  std::set<std::string> seen;
  size_t count = 0;
  std::string query = "?limit=5";
  for (int page = 0; page < 5 && !query.empty(); ++page) {
    auto answer = Page(query);
    ASSERT_EQ(answer.status, 200) << answer.body;
    for (auto& id : Ids(answer)) seen.insert(id), ++count;
    std::string link = answer.Header("Link");
    size_t mark = link.find('?');
    query = mark == link.npos ? "" : link.substr(mark, link.find('>') - mark);
    for (size_t at; (at = query.find("%3A")) != query.npos;) query.replace(at, 3, ":");
    for (size_t at; (at = query.find("%2C")) != query.npos;) query.replace(at, 3, ",");
  }
  EXPECT_EQ(query, "");
  EXPECT_EQ(seen.size(), 12u);
  EXPECT_EQ(count, 12u);
}

TEST_F(Browse, FromPositionsReadsThesePartitionsOnly) {
  PutMany(1, 3, 0);
  PutMany(4, 6, 1);
  EXPECT_EQ(Ids(Page("?from=1:1")), (std::vector<std::string>{"5", "6"}));
  EXPECT_EQ(Ids(Page("?from=latest")), std::vector<std::string>{});
  EXPECT_EQ(Ids(Page("?from=2020-01-01T00:00:00Z")).size(), 6u);
  auto answer = Page("?from=7:0");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("partition 7"));
}

TEST_F(Browse, AFilterIsCesql) {
  Put(1, 0, "made");
  Put(2, 0, "paid");
  EXPECT_EQ(Ids(Page("?filter=type LIKE 'pa%'")), std::vector<std::string>{"2"});
}

TEST_F(Browse, RefusesWhatIsWrong) {
  for (const char* query : {"?from=soon", "?limit=0", "?limit=1001", "?follow=maybe",
                            "?filter=type LIKE", "?filter=LENGHT(type) > 1"}) {
    EXPECT_EQ(Page(query).status, 400) << query;
  }
  EXPECT_EQ(Send("GET", "/v1/topics/none/events").status, 404);
  key_ = PutKey("acme", R"(["read"])");
  EXPECT_EQ(Page("").status, 403);
  EXPECT_EQ(Send("GET", "/v1/events/1?topic=orders").status, 403);
}

TEST_F(Browse, WhatIsNoCloudEventIsShownWithItsBytes) {
  ASSERT_TRUE(
      state_->Produce({.topic = "acme.orders", .partition = 0, .value = "hi"}, [](auto) {}).ok());
  loop_.RunFor(20ms);
  auto answer = Page("");
  ASSERT_EQ(answer.status, 200);
  const auto& item = answer.Json().at(0).as_object();
  EXPECT_EQ(json::GetString(item, "value"), "aGk=");
  EXPECT_NE(json::GetString(item, "error"), "");
}

TEST_F(Browse, AStreamTellsNewEventsAndWhereToGoOn) {
  Put(1);
  auto stream = Follow();
  ASSERT_TRUE(stream->stream_);
  EXPECT_EQ(stream->stream_->headers.Get("Content-Type"), "text/event-stream");
  Put(2);
  Put(3, 1);
  loop_.RunFor(50ms);
  const std::string& text = stream->stream_->body;
  EXPECT_THAT(text, Not(HasSubstr(R"("id":"1")")));
  EXPECT_THAT(text, HasSubstr("id: 0:2,1:0\ndata: {\"partition\":0,\"offset\":1,"));
  EXPECT_THAT(text, HasSubstr("id: 0:2,1:1\ndata: {\"partition\":1,\"offset\":0,"));
  stream->Close();
  loop_.RunFor(10ms);
  EXPECT_EQ(browser_.readers().at_work(), 0u);

  Put(4);
  auto again = Follow("", {{"Last-Event-ID", "0:2,1:1"}});
  loop_.RunFor(50ms);
  EXPECT_THAT(again->stream_->body, HasSubstr(R"("id":"4")"));
  EXPECT_THAT(again->stream_->body, Not(HasSubstr(R"("id":"3")")));
}

TEST_F(Browse, ASlowClientStopsTheReading) {
  auto stream = Follow();
  stream->full_ = true;
  PutMany(1, 50);
  size_t at_first = CountOf(stream->stream_->body, "data: ");
  EXPECT_LE(at_first, 1u);
  stream->Drain();
  loop_.RunFor(200ms);
  EXPECT_EQ(CountOf(stream->stream_->body, "data: "), 50u);
}

TEST_F(Browse, AStreamBeatsAndEndsWhenTheKeyGoes) {
  auto stream = Follow();
  loop_.RunFor(16s);
  EXPECT_THAT(stream->stream_->body, HasSubstr("id: 0:0,1:0\n: heartbeat\n\n"));
  EXPECT_FALSE(stream->ended_);
  auto id = auth::KeyText::Parse(key_)->id;
  PutState(kIdentity, schema::kApiKeyKind, "acme", id, "{}", true);
  loop_.RunFor(16s);
  EXPECT_TRUE(stream->ended_);
  EXPECT_THAT(stream->stream_->body, HasSubstr("event: end\n"));
}

TEST_F(Browse, AStreamEndsAtItsLimitAndWhenTheGatewayStops) {
  auto limited = Follow("&limit=2");
  auto other = Follow();
  PutMany(1, 4);
  loop_.RunFor(50ms);
  EXPECT_TRUE(limited->ended_);
  EXPECT_EQ(CountOf(limited->stream_->body, "data: "), 2u);
  EXPECT_FALSE(other->ended_);
  browser_.Stop();
  EXPECT_TRUE(other->ended_);
  EXPECT_EQ(Page("").status, 503);
}

TEST_F(Browse, AnOrganisationHasSoManyReadersAndNoMore) {
  std::vector<std::shared_ptr<RecordedAnswer>> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(Follow());
  auto refused = Page("");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  streams[0]->Close();
  loop_.RunFor(10ms);
  EXPECT_EQ(Page("").status, 200);
}

TEST_F(Browse, AnEventIsFoundByItsId) {
  PutMany(1, 20, 0);
  PutMany(21, 40, 1);
  for (const char* query : {"?topic=orders", ""}) {
    auto answer = Send("GET", fmt::format("/v1/events/23{}", query));
    ASSERT_EQ(answer.status, 200) << answer.body;
    const auto& found = *json::GetArray(answer.Json().as_object(), "found");
    ASSERT_EQ(found.size(), 1u) << answer.body;
    EXPECT_EQ(json::GetInt(found[0].as_object(), "partition"), 1);
    EXPECT_EQ(json::GetInt(found[0].as_object(), "offset"), 2);
    EXPECT_EQ(json::GetString(found[0].as_object(), "type"), "made");
    EXPECT_TRUE(json::GetBool(answer.Json().as_object(), "complete"));
  }
  auto none = Send("GET", "/v1/events/99?topic=orders");
  EXPECT_EQ(none.status, 200);
  EXPECT_TRUE(json::GetArray(none.Json().as_object(), "found")->empty());
  EXPECT_EQ(Send("GET", "/v1/events/1?topic=none").status, 404);
}

TEST_F(Browse, ASearchThatStoppedSaysWhatItDidNotLookAt) {
  for (int i = 1; i <= 1'100; ++i) {
    broker::ProduceRecord record{.topic = "acme.orders", .partition = 0, .value = "x"};
    ASSERT_TRUE(state_->Produce(std::move(record), [](auto) {}).ok());
  }
  Put(7);
  loop_.RunFor(100ms);
  auto answer = Send("GET", "/v1/events/7?topic=orders");
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(json::Serialize(answer.Json().at("notSearched")),
            R"([{"topic":"orders","partition":0,"from":0,"to":601}])");
  EXPECT_FALSE(json::GetBool(answer.Json().as_object(), "complete"));
}

}  // namespace
}  // namespace dispatch::gateway::browse_test
