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
  return event;
}

bool Matches(const char* filters) {
  auto parsed = Filter::ParseAll(json::Parse(filters)->as_array());
  EXPECT_TRUE(parsed.ok()) << parsed.message();
  return parsed.ok() && parsed->Matches(Event());
}

TEST(FilterTest, DialectsAsTheSubscriptionsApiDefinesThem) {
  struct Case {
    const char* filters;
    bool matches;
  };
  for (const auto& c : std::vector<Case>{
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

TEST(FilterTest, RequiredTypeIsFoundOnlyWhereTheFilterDependsOnIt) {
  auto type = [](const char* filters) {
    auto parsed = Filter::ParseAll(json::Parse(filters)->as_array());
    const std::string* found = parsed->RequiredType();
    return found == nullptr ? std::string() : *found;
  };
  EXPECT_EQ(type(R"([{"exact":{"type":"a"}}])"), "a");
  EXPECT_EQ(type(R"([{"prefix":{"id":"1"}},{"all":[{"exact":{"type":"a"}}]}])"), "a");
  EXPECT_EQ(type(R"([{"any":[{"exact":{"type":"a"}}]}])"), "");
  EXPECT_EQ(type(R"([{"not":{"exact":{"type":"a"}}}])"), "");
  EXPECT_EQ(type(R"([{"prefix":{"type":"a"}}])"), "");
}

}  // namespace
}  // namespace dispatch::filter_test
