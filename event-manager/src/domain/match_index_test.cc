#include "event-manager/src/domain/match_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

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

TEST(MatchIndexTest, LooksOnlyAtWhatMayMatch) {
  MatchIndex index;
  for (int i = 0; i < 200; ++i) {
    std::string n = std::to_string(i);
    auto put = [&](uint8_t kind, const std::string& filters) {
      schema::Subscription s;
      s.uuid.bytes[0] = static_cast<uint8_t>(i);
      s.uuid.bytes[1] = kind;
      s.filters = json::Parse(filters)->as_array();
      index.Put(*CompiledSubscription::Compile(s));
    };
    put(1, std::string(R"([{"exact":{"type":"t)") + n + R"("}}])");
    put(2, std::string(R"([{"sql":"type = 'same' AND subject = 's)") + n + R"('"}])");
    put(3, std::string(R"([{"exact":{"type":"same"}},{"prefix":{"source":"/)") + n + R"(/"}}])");
    put(4, std::string(R"([{"suffix":{"subject":"#)") + n + R"("}}])");
    put(5, std::string(R"([{"data":{"/n":{"exact":)") + n + R"(},"/m":{"gt":0}}}])");
    put(6, std::string(R"j([{"sql":"type IN ('a)j") + n + "', 'b" + n + R"j(') OR id LIKE 'x)j" +
               n + R"(-%'"}])");
  }
  cloudevents::Event event;
  event.Set("type", "same");
  event.Set("source", "/7/x");
  event.Set("subject", "s7");
  event.Set("id", "x7-1");
  event.Set("datacontenttype", "application/json");
  event.data = R"({"n":7.0,"m":1})";
  std::vector<const CompiledSubscription*> hits;
  size_t looked_at = index.Match(event, &hits);
  EXPECT_EQ(hits.size(), 4u);
  EXPECT_LE(looked_at, 8u);
}

TEST(MatchIndexTest, TellsWhoseEvaluationEndedWithAnError) {
  MatchIndex index;
  index.Put(Compile(1, "", R"([{"sql":"priority > 5"}])"));
  index.Put(Compile(2, "", R"([{"any":[{"sql":"NOT tenant"},{"sql":"EXISTS id"}]}])"));
  index.Put(Compile(3, "a", R"([{"sql":"priority > 5"}])"));
  index.Put(Compile(4, "b", R"([{"sql":"priority > 5"}])"));
  cloudevents::Event event;
  for (auto [name, value] : {std::pair("id", "1"), {"type", "a"}, {"priority", "high"}}) {
    event.Set(name, value);
  }
  std::vector<const CompiledSubscription*> hits;
  std::vector<MatchIndex::Fault> faults;
  index.Match(event, &hits, &faults);
  std::map<int, cesql::ErrorSet> errors;
  for (const auto& fault : faults) {
    errors.emplace(fault.subscription->subscription.uuid.bytes[0], fault.errors);
  }
  ASSERT_EQ(errors.size(), 3u);  // 4 is for another type: it is not evaluated
  EXPECT_EQ(errors[1], cesql::ErrorSet(cesql::ErrorKind::kCast));
  EXPECT_TRUE(errors[2].Contains(cesql::ErrorKind::kMissingAttribute));
  EXPECT_EQ(errors[3], errors[1]);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_EQ(hits[0]->subscription.uuid.bytes[0], 2) << "one branch fails, the other holds";
  event.Set("priority", "7");
  event.Set("tenant", "false");
  hits.clear();
  faults.clear();
  index.Match(event, &hits, &faults);
  EXPECT_EQ(hits.size(), 3u);
  EXPECT_TRUE(faults.empty());
}

TEST(MatchIndexTest, ASubscriptionUnderSeveralKeysIsFoundOnce) {
  MatchIndex index;
  index.Put(Compile(1, "", R"([{"any":[{"exact":{"type":"a"}},{"prefix":{"source":"/"}}]}])"));
  EXPECT_EQ(Match(index, "a"), std::vector<int>{1});
  EXPECT_EQ(Match(index, "a"), std::vector<int>{1});
  EXPECT_EQ(Match(index, "b"), std::vector<int>{1});
}

TEST(MatchIndexTest, OldAndNewFiltersAreBothThere) {
  schema::Subscription s;
  s.event_type = "new";
  s.previous_event_type = "old";
  s.filter_boundaries = {5};
  MatchIndex index;
  index.Put(*CompiledSubscription::Compile(s));
  EXPECT_EQ(Match(index, "old"), std::vector<int>{0});
  EXPECT_EQ(Match(index, "new"), std::vector<int>{0});
  index.Remove(s.uuid);
  EXPECT_EQ(Match(index, "old"), std::vector<int>{});
}

/// Random filters over few words, so that they often hold.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}

  size_t Below(size_t n) { return engine_() % n; }
  std::string Attribute() {
    static constexpr const char* kNames[] = {"type", "source", "subject", "ext"};
    return kNames[Below(4)];
  }
  std::string Text() {
    std::string text;
    for (size_t n = Below(3) + 1; n > 0; --n) text += "ab5"[Below(3)];
    return text;
  }
  std::string Expression(int depth) {
    switch (Below(depth > 2 ? 7 : 11)) {
      case 0:
        return Attribute() + " = '" + Text() + "'";
      case 1:
        return "'" + Text() + "' = " + Attribute();
      case 2:
        return Attribute() + " LIKE '" + Text() + "%'";
      case 3:
        return Attribute() + " LIKE '" + (Below(2) == 0 ? "%" : "_") + Text() + "'";
      case 4:
        return Attribute() + " IN ('" + Text() + "', '" + Text() + "')";
      case 5:
        return Attribute() + (Below(2) == 0 ? " = 5" : " != 'a'");
      case 6:
        return "EXISTS " + Attribute();
      case 7:
        return "NOT (" + Expression(depth + 1) + ")";
      case 8:
        return "(" + Expression(depth + 1) + ") XOR (" + Expression(depth + 1) + ")";
      case 9:
        return "(" + Expression(depth + 1) + ") OR (" + Expression(depth + 1) + ")";
      default:
        return "(" + Expression(depth + 1) + ") AND (" + Expression(depth + 1) + ")";
    }
  }
  json::value Filter(int depth) {
    switch (Below(depth > 2 ? 5 : 9)) {
      case 0:
        return {{"exact", {{Attribute(), Text()}}}};
      case 1:
        return {{"prefix", {{Attribute(), Text()}}}};
      case 2:
        return {{"suffix", {{Attribute(), Text()}}}};
      case 3:
        return {{"sql", Expression(0)}};
      case 4:
        return {{"data", {{Below(2) == 0 ? "/a" : "/b/0", Condition()}}}};
      case 5:
        return {{"not", Filter(depth + 1)}};
      case 6:
        return {{"any", json::array{Filter(depth + 1), Filter(depth + 1)}}};
      default:
        return {{"all", json::array{Filter(depth + 1), Filter(depth + 1)}}};
    }
  }
  json::value Scalar() {
    switch (Below(4)) {
      case 0:
        return json::value(5.0);
      case 1:
        return json::value(5);
      case 2:
        return json::value(true);
      default:
        return json::value(Text());
    }
  }

 private:
  json::value Condition() {
    if (Below(3) == 0) return {{"exists", Below(2) == 0}};
    return {{"exact", Scalar()}};
  }

  std::mt19937 engine_;
};

TEST(MatchIndexTest, FindsWhatHoldingEveryFilterFinds) {
  size_t found = 0;
  size_t saved = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    MatchIndex index;
    std::vector<MatchIndex::Entry> entries;
    auto put = [&](size_t i) {
      schema::Subscription s;
      s.uuid.bytes[0] = static_cast<uint8_t>(i);
      s.uuid.bytes[1] = static_cast<uint8_t>(i >> 8);
      if (random.Below(4) == 0) s.event_type = random.Text();
      for (size_t n = random.Below(3); n > 0; --n) s.filters.push_back(random.Filter(0));
      auto entry = CompiledSubscription::Compile(s);
      ASSERT_TRUE(entry.ok()) << entry.message();
      entries[i] = *entry;
      index.Put(*entry);
    };
    for (size_t i = 0; i < 500; ++i) {
      entries.emplace_back();
      put(i);
    }
    for (int round = 0; round < 200; ++round) {
      // Some change and some go, so that removal is tested too.
      size_t changed = random.Below(entries.size());
      if (entries[changed] != nullptr && random.Below(4) == 0) {
        index.Remove(entries[changed]->subscription.uuid);
        entries[changed] = nullptr;
      } else {
        put(changed);
      }
      cloudevents::Event event;
      for (const char* name : {"type", "source", "subject", "ext"}) {
        if (random.Below(5) > 0) event.Set(name, random.Text());
      }
      event.Set("datacontenttype", random.Below(4) == 0 ? "text/plain" : "application/json");
      event.data =
          json::Serialize(json::value{{"a", random.Scalar()}, {"b", json::array{random.Scalar()}}});
      std::vector<const CompiledSubscription*> hits;
      saved += index.size() - index.Match(event, &hits);
      found += hits.size();
      std::vector<const CompiledSubscription*> wanted;
      EventView view(event);
      for (const auto& entry : entries) {
        if (entry != nullptr && entry->Matches(view)) wanted.push_back(entry.get());
      }
      std::sort(hits.begin(), hits.end());
      std::sort(wanted.begin(), wanted.end());
      ASSERT_EQ(hits, wanted) << "seed " << seed << " round " << round;
    }
  }
  EXPECT_GT(found, 100'000u);  // of 2,000,000
  EXPECT_GT(saved, 100'000u);
}

TEST(MatchIndexTest, AnExpressionAsAFilterIsWhatItsProgramSays) {
  Random random(1);
  size_t lowered = 0;
  size_t holding = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.Expression(0);
    auto program = cesql::Program::Compile(text);
    ASSERT_TRUE(program.ok()) << text << ": " << program.message();
    auto filter = Filter::Parse({{"sql", text}}, "f");
    ASSERT_TRUE(filter.ok()) << filter.message();
    cloudevents::Event event;
    for (const char* name : {"type", "source", "subject", "ext"}) {
      if (random.Below(5) > 0) event.Set(name, random.Text());
    }
    EventView view(event);
    ASSERT_EQ(filter->Matches(view), program->Holds(view)) << text;
    lowered += program->conjunction() ? 1 : 0;
    holding += program->Holds(view) ? 1 : 0;
  }
  EXPECT_GT(lowered, 1000u);
  EXPECT_GT(holding, 1000u);
}

}  // namespace
}  // namespace dispatch::match_index_test
