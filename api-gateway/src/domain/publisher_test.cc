#include "api-gateway/src/domain/publisher.h"

#include <yaml-cpp/yaml.h>

#include "api-gateway/src/domain/testing/gateway_fixture.h"

// Publishing through the whole gateway.
namespace dispatch::gateway::publisher_test {

using ::testing::HasSubstr;

class PublisherTest : public testing::GatewayTest {
 protected:
  PublisherTest() { PutTopic("acme", "orders"); }

  static Fields Binary(Fields more = {}) {
    Fields fields = {
        {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }

  std::vector<broker::Record> Log() {
    std::vector<broker::Record> all;
    for (int32_t partition = 0; partition < 2; ++partition) {
      for (auto& record : cluster_.Log({"acme.orders", partition})) all.push_back(record);
    }
    return all;
  }

  static std::string Batch(int events, const std::string& more = "") {
    std::string text = "[";
    for (int i = 0; i < events; ++i) {
      text += (i ? "," : "") +
              std::string(R"({"specversion":"1.0","source":"/s","type":"t","id":")") +
              std::to_string(i) + "\"" + more + "}";
    }
    return text + "]";
  }

  const std::string kPath = "/v1/topics/orders/events";
  const Fields kBatchType = {{"Content-Type", "application/cloudevents-batch+json"}};
};

TEST_F(PublisherTest, AnswersWithThePosition) {
  auto answer = Send("POST", kPath, "{\"n\": 1}",
                     Binary({{"Content-Type", "application/json"}, {"ce-partitionkey", "k"}}));
  ASSERT_EQ(answer.status, 202) << answer.body;
  auto log = Log();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(answer.body, R"({"results":[{"id":"1","topic":"orders","partition":)" +
                             std::to_string(log[0].partition) + R"(,"offset":0}]})");
  EXPECT_EQ(log[0].key, "k");
  EXPECT_EQ(log[0].value, "{\"n\": 1}");
  EXPECT_EQ(*log[0].FindHeader("ce_partitionkey"), "k");
  EXPECT_EQ(*log[0].FindHeader("content-type"), "application/json");
  EXPECT_EQ(log[0].FindHeader("traceparent")->size(), 55u);
}

TEST_F(PublisherTest, TraceContextIsPassedOn) {
  const std::string outer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const std::string inner = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01";
  EXPECT_EQ(
      Send("POST", kPath, "x", Binary({{"traceparent", outer}, {"ce-traceparent", inner}})).status,
      202);
  EXPECT_EQ(*Log()[0].FindHeader("traceparent"), outer);
  EXPECT_EQ(*Log()[0].FindHeader("ce_traceparent"), inner);
}

TEST_F(PublisherTest, BatchesAnswerPerEvent) {
  auto answer = Send("POST", kPath, Batch(3), kBatchType);
  ASSERT_EQ(answer.status, 202) << answer.body;
  auto results = answer.Json().as_object().at("results").as_array();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(json::GetString(results[2].as_object(), "id"), "2");
  EXPECT_EQ(Log().size(), 3u);
  EXPECT_EQ(Send("POST", kPath, "[]", kBatchType).body, R"({"results":[]})");
}

TEST_F(PublisherTest, AFaultyBatchPublishesNothing) {
  auto answer = Send("POST", kPath, Batch(2, R"(,"time":"noon")"), kBatchType);
  EXPECT_EQ(answer.status, 400);
  auto details = answer.Json().as_object().at("details").as_array();
  EXPECT_EQ(json::GetString(details[1].as_object(), "field"), "[1].time");
  EXPECT_TRUE(Log().empty());
}

TEST_F(PublisherTest, Refusals) {
  auto missing = Send("POST", "/v1/topics/nothere/events", "x", Binary());
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.Text("message"), HasSubstr("topic nothere does not exist"));
  EXPECT_THAT(missing.Text("message"), HasSubstr("POST /v1/topics"));
  EXPECT_EQ(Send("POST", kPath, "x").status, 400);
  EXPECT_EQ(Send("POST", kPath, "x", {{"Content-Type", "application/cloudevents+avro"}}).status,
            415);
  EXPECT_EQ(Send("POST", kPath, std::string(1'000'001, 'x'), Binary()).status, 413);
  EXPECT_EQ(Send("POST", kPath, std::string(999'000, 'x'), Binary()).status, 202);
  EXPECT_EQ(Send("POST", kPath, Batch(1001), kBatchType).status, 413);
  EXPECT_EQ(Log().size(), 1u);
}

TEST_F(PublisherTest, KafkaAwayIs503WithRetryAfter) {
  cluster_.set_down(true);
  auto answer = Send("POST", kPath, "x", Binary());
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.Header("Retry-After"), "(none)");
  EXPECT_EQ(Send("POST", kPath, Batch(2), kBatchType).status, 503);
  cluster_.set_down(false);
  loop_.RunFor(std::chrono::seconds(1));
  EXPECT_EQ(Send("POST", kPath, "x", Binary()).status, 202);
}

TEST_F(PublisherTest, APartlyWrittenBatchSaysWhich) {
  broker::MemoryCluster::Faults faults;
  faults.produce_fail = 0.5;
  cluster_.set_faults(faults);
  auto answer = Send("POST", kPath, Batch(40), kBatchType);
  ASSERT_EQ(answer.status, 207) << answer.body;
  size_t accepted = 0;
  for (const auto& element : answer.Json().as_object().at("results").as_array()) {
    const auto& result = element.as_object();
    if (result.contains("offset")) {
      ++accepted;
    } else {
      EXPECT_EQ(json::GetInt(result, "status"), 503);
      EXPECT_THAT(json::GetString(result, "error"), HasSubstr("try again"));
    }
  }
  EXPECT_GT(accepted, 0u);
  EXPECT_EQ(accepted, Log().size());
}

TEST_F(PublisherTest, RawBodiesAreWrapped) {
  auto answer = Send("POST", kPath + "?type=my.type&id=7", "\xff", {{"Content-Type", "image/png"}});
  ASSERT_EQ(answer.status, 202);
  EXPECT_THAT(answer.body, HasSubstr(R"("id":"7")"));
  EXPECT_EQ(*Log()[0].FindHeader("ce_source"), "/acme/orders");
}

// The events of the public conformance files, in, and read back as a subscriber would get them.
TEST_F(PublisherTest, ConformanceEventsArriveUnchanged) {
  size_t published = 0;
  for (const char* file : {"v1.yaml", "v1_minimum.yaml"}) {
    for (const YAML::Node& event :
         YAML::LoadAllFromFile(std::string("tests/conformance-data/cloudevents/yaml/") + file)) {
      std::map<std::string, std::string> expected;
      for (const auto& attribute : event["ContextAttributes"]) {
        auto name = attribute.first.as<std::string>();
        if (name != "Extensions") expected[name] = attribute.second.as<std::string>();
      }
      for (const auto& extension : event["ContextAttributes"]["Extensions"]) {
        auto value = extension.second.as<std::string>();
        // The block's last line feed is YAML's; an attribute cannot hold one.
        if (value.ends_with('\n')) value.pop_back();
        expected[extension.first.as<std::string>()] = value;
      }
      cloudevents::Event in;
      for (const auto& [name, value] : expected) in.Set(name, value);
      in.data = event["Data"].as<std::string>();
      bool structured = event["Mode"] && event["Mode"].as<std::string>() == "structured";
      testing::Answer answer;
      if (structured) {
        in.Set("datacontenttype", "application/json");
        expected["datacontenttype"] = "application/json";
        answer = Send("POST", kPath, cloudevents::ToJson(in),
                      {{"Content-Type", "application/cloudevents+json"}});
      } else {
        answer = Send("POST", kPath, *in.data, cloudevents::ToHttpHeaders(in));
      }
      ASSERT_EQ(answer.status, 202) << answer.body;
      auto log = Log();
      ASSERT_EQ(log.size(), ++published);
      const auto& last =
          *std::max_element(log.begin(), log.end(), [&](const auto& a, const auto& b) {
            auto is = [&](const auto& r) { return *r.FindHeader("ce_id") == expected["id"]; };
            return std::tuple(is(a), a.timestamp_ms, a.offset) <
                   std::tuple(is(b), b.timestamp_ms, b.offset);
          });
      auto out = cloudevents::FromKafka({last.key, last.headers, last.value});
      ASSERT_TRUE(out.ok()) << out.message();
      EXPECT_EQ(std::map(out->attributes.begin(), out->attributes.end()), expected);
      auto data = *in.data;
      if (structured) data.pop_back();  // white space around JSON is no data
      EXPECT_EQ(out->data, data);
      loop_.RunFor(std::chrono::milliseconds(5));
    }
  }
  EXPECT_EQ(published, 8u);
}

}  // namespace dispatch::gateway::publisher_test
