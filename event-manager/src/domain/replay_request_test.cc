#include "event-manager/src/domain/replay_request.h"

#include <gtest/gtest.h>

#include "schema/objects.h"

namespace dispatch::replay_request_test {
namespace {

json::object Subscription() {
  return {{"name", "s"},
          {"topic", "orders"},
          {"eventType", "a"},
          {"filters", json::array{{{"prefix", {{"source", "/x"}}}}}},
          {"sink", {{"url", "http://h/"}}},
          {"retry", {{"maxAttempts", 3}}},
          {"ordering", "key"},
          {"onFailure", "park"},
          {"paused", true},
          {"internal", {{"topicUuid", "00000000-0000-0000-0000-000000000007"}, {"generation", 4}}}};
}

TEST(ReplayRequestTest, TakesPlacesTimesFilterAndRate) {
  auto r = ParseReplayRequest({{"name", "s"},
                               {"from", "2026-01-01T00:00:00Z"},
                               {"to", {{"offsets", {5, 6}}}},
                               {"filter", "type = 'a'"},
                               {"rate", 50}});
  ASSERT_TRUE(r.ok()) << r.message();
  EXPECT_EQ(r->from.kind, StartAt::Kind::kTime);
  EXPECT_EQ(r->to.offsets, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(r->rate, 50);
  r = ParseReplayRequest({{"name", "s"}, {"from", "earliest"}});
  ASSERT_TRUE(r.ok()) << r.message();
  EXPECT_EQ(r->to.kind, StartAt::Kind::kLatest);
  EXPECT_FALSE(r->rate);
}

TEST(ReplayRequestTest, NamesEveryFault) {
  auto r = ParseReplayRequest(
      {{"name", "s"}, {"to", "later"}, {"filter", "type ="}, {"rate", 0}, {"form", 1}});
  ASSERT_FALSE(r.ok());
  std::vector<std::string> fields;
  for (const auto& detail : r.error().details) fields.push_back(detail.field);
  for (const char* field : {"from", "to", "filter", "rate", "form"}) {
    EXPECT_NE(std::find(fields.begin(), fields.end(), field), fields.end()) << field;
  }
}

TEST(ReplayRequestTest, IsASubscriptionOfItsOwnWithAnEnd) {
  auto r = ParseReplayRequest({{"name", "s"}, {"from", "earliest"}, {"filter", "x > 5"}});
  ASSERT_TRUE(r.ok());
  auto document = ReplayDocument(Subscription(), *r, {{"from", "earliest"}}, {10, 4}, {20, 2});
  auto s = schema::ParseReplay(Uuid{}, "acme", 3, document);
  EXPECT_EQ(s.name, "s");
  EXPECT_EQ(s.event_type, "a");
  EXPECT_EQ(s.filters.size(), 2u);
  EXPECT_EQ(s.generation, 1);
  EXPECT_FALSE(s.paused);
  EXPECT_EQ(s.ordering, schema::Ordering::kKey);
  EXPECT_EQ(s.Boundary(0), 10);
  EXPECT_EQ(s.End(0), 20);
  EXPECT_EQ(s.End(1), 4);  // ends before it begins
  EXPECT_EQ(json::GetInt(document, "offsets"), 10);
  EXPECT_TRUE(schema::IsRunningReplay(document));
}

TEST(ReplayRequestTest, FollowsTheSubscriptionAtItsOwnRate) {
  auto subscription = Subscription();
  subscription["rateLimit"] = {{"events", 7}, {"per", "1m"}};
  json::object replay{{"rate", 50}};
  subscription["sink"] = {{"url", "http://new/"}};
  FollowSubscription(subscription, replay);
  EXPECT_EQ(replay.at("sink").at("url"), "http://new/");
  EXPECT_EQ(replay.at("rateLimit").at("events"), 50);
  replay.erase("rate");
  FollowSubscription(subscription, replay);
  EXPECT_EQ(replay.at("rateLimit").at("per"), "1m");
}

}  // namespace
}  // namespace dispatch::replay_request_test
