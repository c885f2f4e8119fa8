#include "event-manager/src/domain/filter.h"

#include <gtest/gtest.h>

namespace dispatch::filter_test {
namespace {

cloudevents::Event Event() {
  cloudevents::Event event;
  event.Set("specversion", "1.0");
  event.Set("id", "1");
  event.Set("source", "/shop/berlin");
  event.Set("type", "order.created");
  event.Set("priority", "10");
  event.Set("datacontenttype", "application/json");
  event.data = R"({"order":{"country":"DE","total":10.0,"open":true,"note":null,"items":["x"]}})";
  return event;
}

bool Matches(const char* filters) {
  auto parsed = Filter::ParseAll(json::Parse(filters)->as_array());
  EXPECT_TRUE(parsed.ok()) << parsed.message();
  auto event = Event();
  return parsed.ok() && parsed->Matches(EventView(event));
}

TEST(FilterTest, DialectsAsTheSubscriptionsApiDefinesThem) {
  struct Case {
    const char* filters;
    bool matches;
  };
  for (
      const auto& c : std::vector<Case>{
          {R"([])", true},
          {R"([{"exact":{"type":"order.created"}}])", true},
          {R"([{"exact":{"type":"Order.Created"}}])", false},
          {R"([{"exact":{"type":"order.created","priority":"10"}}])", true},
          {R"([{"exact":{"type":"order.created","priority":"11"}}])", false},
          {R"([{"exact":{"missing":"x"}}])", false},
          {R"([{"prefix":{"source":"/shop"}}])", true},
          {R"([{"prefix":{"source":"shop"}}])", false},
          {R"([{"suffix":{"source":"berlin"}}])", true},
          {R"([{"not":{"exact":{"missing":"x"}}}])", true},
          {R"([{"not":{"not":{"exact":{"id":"1"}}}}])", true},
          {R"([{"all":[{"exact":{"id":"1"}},{"prefix":{"type":"order"}}]}])", true},
          {R"([{"all":[{"exact":{"id":"1"}},{"prefix":{"type":"x"}}]}])", false},
          {R"([{"any":[{"exact":{"id":"2"}},{"prefix":{"type":"order"}}]}])", true},
          {R"([{"any":[{"exact":{"id":"2"}},{"prefix":{"type":"x"}}]}])", false},
          {R"([{"exact":{"id":"1"}},{"exact":{"id":"2"}}])", false},
          {R"([{"sql":"type = 'order.created' AND priority > 9"}])", true},
          {R"([{"sql":"priority > 10"}])", false},
          {R"([{"sql":"missing = 'x'"}])", false},
          {R"j([{"sql":"NOT (missing = 'x')"}])j", false},  // an error, so it does not pass
          {R"([{"not":{"sql":"missing = 'x'"}}])", true},
          {R"([{"any":[{"sql":"id = '2'"},{"all":[{"sql":"id = '1'"},{"prefix":{"type":"o"}}]}]}])",
           true},
      }) {
    EXPECT_EQ(Matches(c.filters), c.matches) << c.filters;
  }
}

TEST(FilterTest, FaultsNameThePlace) {
  struct Case {
    const char* filters;
    const char* place;
  };
  for (const auto& c : std::vector<Case>{
           {R"([{}])", "filters[0]"},
           {R"([{"exact":{"a":"b"},"prefix":{"a":"b"}}])", "filters[0]"},
           {R"([{"like":{"a":"b"}}])", "filters[0]"},
           {R"(["exact"])", "filters[0]"},
           {R"([{"exact":{}}])", "filters[0].exact"},
           {R"([{"exact":{"type":""}}])", "filters[0].exact.type"},
           {R"([{"prefix":{"type":5}}])", "filters[0].prefix.type"},
           {R"([{"exact":{"":"x"}}])", "filters[0].exact"},
           {R"([{"any":[]}])", "filters[0].any"},
           {R"([{"all":{"exact":{"a":"b"}}}])", "filters[0].all"},
           {R"([{"not":[{"exact":{"a":"b"}}]}])", "filters[0].not"},
           {R"([{"all":[{"exact":{"a":"b"}},{"nope":1}]}])", "filters[0].all[1]"},
       }) {
    auto parsed = Filter::ParseAll(json::Parse(c.filters)->as_array());
    ASSERT_FALSE(parsed.ok()) << c.filters;
    EXPECT_EQ(parsed.error().code, Code::kUnprocessable);
    ASSERT_EQ(parsed.error().details.size(), 1u);
    EXPECT_EQ(parsed.error().details[0].field, c.place) << c.filters;
  }
}

TEST(FilterTest, DepthAndSizeAreBounded) {
  std::string deep = R"({"exact":{"a":"b"}})";
  for (int i = 0; i < 20; ++i) deep = R"({"not":)" + deep + "}";
  EXPECT_FALSE(Filter::Parse(*json::Parse(deep, 64), "filters[0]").ok());
  std::string wide = R"({"any":[)";
  for (int i = 0; i < 300; ++i) wide += R"({"exact":{"a":"b"}},)";
  wide += R"({"exact":{"a":"b"}}]})";
  EXPECT_FALSE(Filter::Parse(*json::Parse(wide), "filters[0]").ok());
}

TEST(FilterTest, CoversAreWhatEventsMustHave) {
  auto cover = [](const char* filters) {
    auto parsed = Filter::ParseAll(json::Parse(filters)->as_array());
    EXPECT_TRUE(parsed.ok()) << parsed.message();
    std::string all;
    for (const auto& cover : parsed->Covers()) {
      for (const auto& key : cover) {
        all += key.name + "~/^$"[static_cast<int>(key.kind)] + key.text + " ";
      }
      all += "| ";
    }
    return all;
  };
  EXPECT_EQ(cover(R"([{"exact":{"type":"a"}}])"), "type~a | ");
  EXPECT_EQ(cover(R"([{"prefix":{"id":"1"}},{"all":[{"exact":{"type":"a"}}]}])"),
            "type~a | id/1 | ");
  EXPECT_EQ(cover(R"([{"any":[{"exact":{"type":"a"}},{"suffix":{"type":"b"}}]}])"),
            "type~a type^b | ");
  EXPECT_EQ(cover(R"([{"any":[{"exact":{"type":"a"}},{"not":{"exact":{"type":"b"}}}]}])"), "");
  EXPECT_EQ(cover(R"([{"not":{"exact":{"type":"a"}}}])"), "");
  EXPECT_EQ(cover(R"([{"data":{"/a":{"exact":5.0,"gt":1}}}])"), "/a$5 | ");
  EXPECT_EQ(cover(R"j([{"sql":"type = 'a' AND subject LIKE 'x%y' OR id IN ('1','2')"}])j"),
            "type~a id~1 id~2 | ");
  EXPECT_EQ(cover(R"([{"sql":"priority = 5"}])"), "");
  EXPECT_EQ(cover(R"([{"sql":"'a' = type XOR true"}])"), "");
}

TEST(FilterTest, DataConditions) {
  for (const auto& [conditions, holds] : std::vector<std::pair<const char*, bool>>{
           {R"({"/order/country":{"exact":"DE"}})", true},
           {R"({"/order/country":{"exact":"de"}})", false},
           {R"({"/order/country":{"prefix":"D","suffix":"E"}})", true},
           {R"({"/order/country":{"prefix":"E"}})", false},
           {R"({"/order/total":{"exact":10}})", true},
           {R"({"/order/total":{"exact":"10"}})", false},
           {R"({"/order/total":{"gte":10,"lt":11}})", true},
           {R"({"/order/total":{"gt":10}})", false},
           {R"({"/order/total":{"lte":9.99}})", false},
           {R"({"/order/country":{"lt":11}})", false},
           {R"({"/order/open":{"exact":true}})", true},
           {R"({"/order/open":{"exact":false}})", false},
           {R"({"/order/note":{"exact":null}})", true},
           {R"({"/order/note":{"exists":true}})", true},
           {R"({"/order/none":{"exists":true}})", false},
           {R"({"/order/none":{"exists":false}})", true},
           {R"({"/order/none":{"exact":null}})", false},
           {R"({"/order/items/0":{"exact":"x"}})", true},
           {R"({"/order/items/1":{"exists":true}})", false},
           {R"({"/order/items/00":{"exists":true}})", false},
           {R"({"":{"exists":true}})", true},
           {R"({"/order/country":{"exact":"DE"},"/order/total":{"exact":11}})", false},
       }) {
    std::string filters = std::string(R"([{"data":)") + conditions + "}]";
    EXPECT_EQ(Matches(filters.c_str()), holds) << conditions;
  }
}

TEST(FilterTest, DataIsLookedIntoOnlyWhenItIsJson) {
  auto filter = Filter::ParseAll(json::Parse(R"([{"data":{"/a":{"exact":1}}}])")->as_array());
  ASSERT_TRUE(filter.ok());
  auto matches = [&](const char* type, std::optional<std::string> data) {
    cloudevents::Event event;
    if (type != nullptr) event.Set("datacontenttype", type);
    event.data = std::move(data);
    return filter->Matches(EventView(event));
  };
  EXPECT_TRUE(matches("application/json", R"({"a":1})"));
  EXPECT_TRUE(matches("application/vnd.x+json; charset=utf-8", R"({"a":1})"));
  EXPECT_FALSE(matches("text/plain", R"({"a":1})"));
  EXPECT_FALSE(matches(nullptr, R"({"a":1})"));
  EXPECT_FALSE(matches("application/json", std::nullopt));
  EXPECT_FALSE(matches("application/json", R"({"a":1)"));
  EXPECT_FALSE(matches("application/json", R"({"a":1,"a":1})"));
  std::string deep = R"({"a":1,"b":)" + std::string(40, '[') + std::string(40, ']') + "}";
  EXPECT_FALSE(matches("application/json", deep));
  std::string large = R"({"a":1,"b":")" + std::string(EventView::kMaxDataBytes, 'x') + "\"}";
  EXPECT_FALSE(matches("application/json", large));
}

TEST(FilterTest, FaultsOfExpressionsNameTheColumn) {
  struct Case {
    const char* filters;
    const char* place;
    const char* reason;
  };
  for (const auto& c : std::vector<Case>{
           {R"([{"sql":"type = "}])", "filters[0].sql",
            "column 8: the expression ends where a value is expected"},
           {R"j([{"not":{"sql":"LENGHT(id) > 3"}}])j", "filters[0].not.sql",
            "column 1: there is no function LENGHT with 1 argument"},
           {R"([{"sql":"subject"}])", "filters[0].sql",
            "column 1: this gives a String, not true or false: compare it with something, or write "
            "BOOL(...)"},
           {R"([{"sql":"1 / 0 = 1"}])", "filters[0].sql", "column 1: this fails for every event"},
           {R"([{"sql":5}])", "filters[0].sql", "must be a CESQL expression, as text"},
           {R"([{"data":{"a":{"exact":1}}}])", "filters[0].data[\"a\"]",
            "must be a JSON pointer, as /order/items/0, or empty for the whole data"},
           {R"([{"data":{"/a":{"exact":[]}}}])", "filters[0].data[\"/a\"].exact",
            "must be text, a number, true, false or null"},
           {R"([{"data":{"/a":{"like":1}}}])", "filters[0].data[\"/a\"].like",
            "is no condition; use exact, prefix, suffix, exists, lt, lte, gt or gte"},
           {R"([{"data":{"/a":{}}}])", "filters[0].data[\"/a\"]",
            "must be an object of conditions: exact, prefix, suffix, exists, lt, lte, gt or gte"},
           {R"([{"data":{}}])", "filters[0].data",
            "must be an object of at least one JSON pointer and its conditions"},
       }) {
    auto parsed = Filter::ParseAll(json::Parse(c.filters)->as_array());
    ASSERT_FALSE(parsed.ok()) << c.filters;
    ASSERT_EQ(parsed.error().details.size(), 1u);
    EXPECT_EQ(parsed.error().details[0].field, c.place) << c.filters;
    EXPECT_EQ(parsed.error().details[0].reason, c.reason) << c.filters;
  }
}

}  // namespace
}  // namespace dispatch::filter_test
