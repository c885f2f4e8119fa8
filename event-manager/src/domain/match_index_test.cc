#include "event-manager/src/domain/match_index.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dispatch::match_index_test {
namespace {

MatchIndex::Entry Compile(uint8_t id, const std::string& type, const char* filters = "[]") {
  schema::Subscription s;
  s.uuid.bytes[0] = id;
  s.event_type = type;
  s.filters = json::Parse(filters)->as_array();
  return *CompiledSubscription::Compile(s);
}

std::vector<int> Match(const MatchIndex& index, const std::string& type) {
  cloudevents::Event event;
  event.Set("type", type);
  event.Set("source", "/s");
  std::vector<const CompiledSubscription*> hits;
  index.Match(event, &hits);
  std::vector<int> ids;
  for (const auto* hit : hits) ids.push_back(hit->subscription.uuid.bytes[0]);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST(MatchIndexTest, FindsExactTypesAndTheRest) {
  MatchIndex index;
  index.Put(Compile(1, "a"));
  index.Put(Compile(2, "", R"([{"exact":{"type":"a"}}])"));
  index.Put(Compile(3, "", R"([{"prefix":{"type":"a"}}])"));
  index.Put(Compile(4, "b"));
  index.Put(Compile(5, ""));
  index.Put(Compile(6, "a", R"([{"exact":{"source":"/other"}}])"));
  EXPECT_EQ(Match(index, "a"), (std::vector<int>{1, 2, 3, 5}));
  EXPECT_EQ(Match(index, "ab"), (std::vector<int>{3, 5}));
  EXPECT_EQ(Match(index, "b"), (std::vector<int>{4, 5}));
}

TEST(MatchIndexTest, ReplacingMovesASubscriptionToItsNewPlace) {
  MatchIndex index;
  index.Put(Compile(1, "a"));
  index.Put(Compile(1, "b"));
  EXPECT_EQ(index.size(), 1u);
  EXPECT_EQ(Match(index, "a"), std::vector<int>{});
  EXPECT_EQ(Match(index, "b"), std::vector<int>{1});
  index.Put(Compile(1, "", R"([{"suffix":{"type":"z"}}])"));
  EXPECT_EQ(Match(index, "b"), std::vector<int>{});
  EXPECT_EQ(Match(index, "xz"), std::vector<int>{1});
  Uuid id;
  id.bytes[0] = 1;
  index.Remove(id);
  index.Remove(id);
  EXPECT_EQ(Match(index, "xz"), std::vector<int>{});
  EXPECT_EQ(index.Find(id), nullptr);
}

}  // namespace
}  // namespace dispatch::match_index_test
