#include "event-manager/src/domain/object_requests.h"

#include <gtest/gtest.h>

#include <set>

namespace dispatch::object_requests_test {
namespace {

json::object Object(const char* text) { return *json::ParseObject(text); }

std::set<std::string> FaultyFields(const Error& error) {
  std::set<std::string> fields;
  for (const auto& detail : error.details) fields.insert(detail.field);
  return fields;
}

TEST(ObjectRequestsTest, TopicDefaults) {
  auto topic = TopicDocument(Object(R"({"name":"orders"})"));
  ASSERT_TRUE(topic.ok()) << topic.message();
  EXPECT_EQ(topic->at("partitions").as_int64(), 4);
  EXPECT_EQ(topic->at("retention").at("time").as_string(), "7d");
  auto config = TopicConfig(*topic);
  EXPECT_EQ(config[0], (std::pair<std::string, std::string>{"retention.ms", "604800000"}));
  EXPECT_EQ(config[1], (std::pair<std::string, std::string>{"retention.bytes", "-1"}));
}

TEST(ObjectRequestsTest, EveryFaultOfATopicIsNamedAtOnce) {
  auto topic = TopicDocument(Object(
      R"({"name":"a b","partitions":0,"retention":{"time":"1s","byte":1},"retentions":{}})"));
  ASSERT_FALSE(topic.ok());
  EXPECT_EQ(topic.code(), Code::kUnprocessable);
  EXPECT_EQ(FaultyFields(topic.error()),
            (std::set<std::string>{"name", "partitions", "retention.time", "retention.byte",
                                   "retentions"}));
}

TEST(ObjectRequestsTest, SubscriptionDefaults) {
  auto s = SubscriptionDocument(
      Object(R"({"name":"s","eventType":"a.b","sink":{"url":"http://h/"},"secrets":null})"));
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(s->at("topic").as_string(), "default");
  EXPECT_EQ(s->at("timeout").as_string(), "30s");
  EXPECT_EQ(s->at("maxInFlight").as_int64(), 512);
  EXPECT_EQ(s->at("retry").at("maxAttempts").as_int64(), 10);
  EXPECT_EQ(s->at("start").as_string(), "latest");
}

TEST(ObjectRequestsTest, OrderAndRate) {
  auto s = SubscriptionDocument(Object(
      R"({"name":"s","eventType":"a","function":"f","ordering":"key","rateLimit":{"events":5}})"));
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(s->at("ordering").as_string(), "key");
  EXPECT_EQ(s->at("onFailure").as_string(), "block");
  EXPECT_EQ(s->at("rateLimit").at("events").as_int64(), 5);
  EXPECT_EQ(s->at("rateLimit").at("per").as_string(), "1s");
  // What we answer is accepted again.
  EXPECT_EQ(*SubscriptionDocument(*s), *s);
}

TEST(ObjectRequestsTest, TheDeadLetterTopicIsAnotherOne) {
  json::object request = Object(
      R"({"name":"s","topic":"t","eventType":"a","sink":{"url":"http://h/"},"deadLetterTopic":"d"})");
  auto s = SubscriptionDocument(request);
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_EQ(s->at("deadLetterTopic").as_string(), "d");
  request["deadLetterTopic"] = "t";
  s = SubscriptionDocument(request);
  ASSERT_FALSE(s.ok());
  EXPECT_EQ(FaultyFields(s.error()), std::set<std::string>{"deadLetterTopic"});
}

TEST(ObjectRequestsTest, SinksAreAskedFirstAndRepliesGoSomewhere) {
  auto s = SubscriptionDocument(
      Object(R"({"name":"s","eventType":"a","sink":{"url":"http://h:80/","handshake":true},)"
             R"("replyTopic":"default","handshake":{"state":"allowed"}})"));
  ASSERT_TRUE(s.ok()) << s.message();
  EXPECT_TRUE(s->at("sink").at("handshake").as_bool());
  // A subscription may answer into its own topic; what came of the handshake is not for users.
  EXPECT_EQ(s->at("replyTopic").as_string(), "default");
  EXPECT_FALSE(s->contains("handshake"));
  EXPECT_EQ(*SubscriptionDocument(*s), *s);
}

TEST(ObjectRequestsTest, ABatchHasNoReplies) {
  auto s = SubscriptionDocument(
      Object(R"({"name":"s","eventType":"a","sink":{"url":"http://h/","mode":"batch"}})"));
  ASSERT_TRUE(s.ok()) << s.message();
  (*s)["replyTopic"] = "default";
  EXPECT_EQ(FaultyFields(SubscriptionDocument(*s).error()), (std::set<std::string>{"replyTopic"}));
}

TEST(ObjectRequestsTest, UrlsHaveAHostAndIfAnythingAPort) {
  auto url = [](const std::string& text) {
    json::object request{{"name", "s"}, {"eventType", "a"}, {"sink", json::object{{"url", text}}}};
    auto s = SubscriptionDocument(request);
    return s.ok() ? std::string() : s.message();
  };
  for (const char* good : {"http://h", "http://h/", "https://h:8443/x?y=a:b@c", "http://[::1]/",
                           "http://[::1]:80/", "http://127.0.0.1:1"}) {
    EXPECT_EQ(url(good), "") << good;
  }
  EXPECT_EQ(url("http://127.0.0.1:/"),
            "sink.url has an empty port: give one, or leave the ':' out");
  for (const char* bad : {"http://h:", "http://[::1]:/", "http://h:0/", "http://h:65536/",
                          "http://h:x/", "http://:80/", "http:///x", "http://u:p@h/", "ftp://h/"}) {
    EXPECT_NE(url(bad), "") << bad;
  }
}

TEST(ObjectRequestsTest, SubscriptionFaults) {
  struct Case {
    const char* request;
    std::set<std::string> fields;
  };
  for (const auto& c : std::vector<Case>{
           {R"({"name":"s","sink":{"url":"http://h/"}})", {"eventType"}},
           {R"({"name":"s","eventType":"a"})", {"sink"}},
           {R"({"name":"s","eventType":"a","function":"f","sink":{"url":"http://h/"}})",
            {"function"}},
           {R"({"name":"s","eventType":"a b","sink":{"url":"ftp://h/"}})",
            {"eventType", "sink.url"}},
           {R"({"eventType":"a","sink":{}})", {"name", "sink.url"}},
           {R"({"name":"s","filters":[{"like":{}}],"function":"f"})", {"filters[0]"}},
           {R"({"name":"s","eventType":"a","function":"f","retry":{"jitter":2,"minBackof":"1s"}})",
            {"retry.jitter", "retry.minBackof"}},
           {R"({"name":"s","eventType":"a","function":"f","timeout":"0s","ordering":"total"})",
            {"timeout", "ordering"}},
           {R"({"name":"s","eventType":"a","function":"f","onFailure":"park"})", {"onFailure"}},
           {R"({"name":"s","eventType":"a","function":"f","ordering":"key","onFailure":"skip"})",
            {"onFailure"}},
           {R"({"name":"s","eventType":"a","function":"f","rateLimit":{"per":"1ms","burst":2}})",
            {"rateLimit.events", "rateLimit.per", "rateLimit.burst"}},
           {R"({"name":"s","eventType":"a","function":"f","rateLimit":{"events":0}})",
            {"rateLimit.events"}},
           {R"({"name":"s","eventType":"a","function":"f","start":"now"})", {"start"}},
           {R"({"name":"s","eventType":"a","function":"f","evenType":"b"})", {"evenType"}},
       }) {
    auto s = SubscriptionDocument(Object(c.request));
    ASSERT_FALSE(s.ok()) << c.request;
    EXPECT_EQ(FaultyFields(s.error()), c.fields) << c.request;
  }
}

TEST(ObjectRequestsTest, Starts) {
  EXPECT_EQ(ParseStart(Object(R"({})"))->kind, StartAt::Kind::kLatest);
  EXPECT_EQ(ParseStart(Object(R"({"start":"earliest"})"))->kind, StartAt::Kind::kEarliest);
  auto time = ParseStart(Object(R"({"start":{"time":"2026-01-01T00:00:00Z"}})"));
  ASSERT_TRUE(time.ok());
  EXPECT_EQ(time->time_ms, 1767225600000);
  auto offsets = ParseStart(Object(R"({"start":{"offsets":[1,0,7]}})"));
  ASSERT_TRUE(offsets.ok());
  EXPECT_EQ(offsets->offsets, (std::vector<int64_t>{1, 0, 7}));
  EXPECT_FALSE(ParseStart(Object(R"({"start":{"offsets":[-1]}})")).ok());
  EXPECT_FALSE(ParseStart(Object(R"({"start":5})")).ok());
}

}  // namespace
}  // namespace dispatch::object_requests_test
