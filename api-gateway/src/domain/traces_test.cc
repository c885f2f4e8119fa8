// The gateway's part in traces: whose they are, what is sampled, and which spans there are.
#include "api-gateway/src/domain/testing/gateway_fixture.h"
#include "common/testing/recorded_spans.h"

namespace dispatch::gateway::traces_test {

using dispatch::testing::RecordedSpans;
using testing::Answer;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kUnsampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

struct Exporting {
  SystemClock clock;
  RecordedSpans spans;
  Tracer tracer{clock, spans};
};

class Traces : protected Exporting, public testing::GatewayTest {
 protected:
  explicit Traces(double ratio = 0, bool exports = true)
      : GatewayTest(Tracing{exports ? &tracer : nullptr, ratio}) {
    PutTopic("acme", "orders");
  }

  Answer Publish(Fields more, std::string data = "x") {
    Fields fields = {
        {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "/s"}, {"ce-type", "t"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return Send("POST", kPath, std::move(data), fields);
  }
  std::vector<broker::Record> Log() {
    std::vector<broker::Record> all;
    for (int32_t partition = 0; partition < 2; ++partition) {
      for (auto& record : cluster_.Log({"acme.orders", partition})) all.push_back(record);
    }
    return all;
  }
  static std::string At(const Span& span, std::string_view key) {
    return RecordedSpans::Attribute(span, key);
  }

  const std::string kPath = "/v1/topics/orders/events";
  const std::string kServerName = "POST /v1/topics/{name}/events";
  const std::string kPublishName = "acme.orders publish";
};

TEST_F(Traces, OfAPublishHangBelowThePublishers) {
  ASSERT_EQ(Publish({{"traceparent", kSampled}, {"User-Agent", "shop/1"}}).status, 202);
  ASSERT_THAT(spans.spans, SizeIs(2));
  Span server = spans.Only(kServerName), publish = spans.Only(kPublishName);
  EXPECT_EQ(server.kind, Span::Kind::kServer);
  EXPECT_EQ(server.context.trace_id, kTrace);
  EXPECT_EQ(server.parent_id, "00f067aa0ba902b7");
  EXPECT_EQ(At(server, "http.request.method"), "POST");
  EXPECT_EQ(At(server, "http.route"), "/v1/topics/{name}/events");
  EXPECT_EQ(At(server, "http.response.status_code"), "202");
  EXPECT_EQ(At(server, "url.path"), kPath);
  EXPECT_EQ(At(server, "user_agent.original"), "shop/1");
  EXPECT_EQ(At(server, "dispatch.org"), "acme");
  EXPECT_FALSE(server.error);
  EXPECT_EQ(publish.kind, Span::Kind::kProducer);
  EXPECT_EQ(publish.parent_id, server.context.span_id);
  EXPECT_EQ(At(publish, "messaging.system"), "kafka");
  EXPECT_EQ(At(publish, "messaging.operation.type"), "send");
  EXPECT_EQ(At(publish, "messaging.destination.name"), "acme.orders");
  EXPECT_EQ(At(publish, "messaging.kafka.offset"), "0");
  EXPECT_EQ(At(publish, "cloudevents.event_id"), "1");
  EXPECT_EQ(At(publish, "cloudevents.event_source"), "/s");
  EXPECT_EQ(At(publish, "cloudevents.event_type"), "t");
  EXPECT_EQ(*Log()[0].FindHeader("traceparent"), publish.context.ToTraceparent());
}

TEST_F(Traces, OfABatchHaveASpanForEachEvent) {
  std::string batch = R"([{"specversion":"1.0","source":"/s","type":"t","id":"a"},)"
                      R"({"specversion":"1.0","source":"/s","type":"t","id":"b"}])";
  auto answer =
      Send("POST", kPath, batch,
           {{"Content-Type", "application/cloudevents-batch+json"}, {"traceparent", kSampled}});
  ASSERT_EQ(answer.status, 202) << answer.body;
  ASSERT_THAT(spans.spans, SizeIs(3));
  for (const auto& record : Log()) {
    auto span = std::find_if(spans.spans.begin(), spans.spans.end(), [&](const Span& s) {
      return At(s, "cloudevents.event_id") == *record.FindHeader("ce_id");
    });
    ASSERT_NE(span, spans.spans.end());
    EXPECT_EQ(*record.FindHeader("traceparent"), span->context.ToTraceparent());
  }
}

TEST_F(Traces, WhatIsNotSampledPassesUnchanged) {
  ASSERT_EQ(Publish({{"traceparent", kUnsampled}}).status, 202);
  ASSERT_EQ(Publish({}).status, 202);
  EXPECT_THAT(spans.spans, IsEmpty());
  std::vector<std::string> headers;
  for (const auto& record : Log()) headers.push_back(*record.FindHeader("traceparent"));
  EXPECT_THAT(headers, ::testing::UnorderedElementsAre(kUnsampled, EndsWith("-00")));
}

TEST_F(Traces, AServiceIsAskedWithinTheRequest) {
  std::string asked;
  Serve(kEventManager, "topic.create", [&](const schema::Request& request) {
    asked = request.traceparent;
    return Error{Code::kAlreadyExists, "taken"};
  });
  auto answer = Send("POST", "/v1/topics", R"({"name":"new"})", {{"traceparent", kSampled}});
  EXPECT_EQ(answer.status, 409);
  Span server = spans.Only("POST /v1/topics");
  EXPECT_EQ(asked, server.context.ToTraceparent());
  EXPECT_EQ(At(server, "error.type"), "") << "the caller's fault";
}

TEST_F(Traces, FailuresAreTold) {
  std::string large(1'000'001, 'x');
  EXPECT_EQ(Publish({{"traceparent", kSampled}}, large).status, 413);
  EXPECT_EQ(At(spans.Only(kPublishName), "error.type"), CodeName(Code::kTooLarge));
  EXPECT_TRUE(spans.Only(kPublishName).error);
  spans.spans.clear();
  EXPECT_EQ(Send("BREW", "/nowhere", "", {{"traceparent", kSampled}}).status, 404);
  ASSERT_THAT(spans.spans, SizeIs(1));
  EXPECT_EQ(spans.spans[0].name, "HTTP") << "names are few";
  EXPECT_EQ(At(spans.spans[0], "http.request.method"), "_OTHER");
  EXPECT_EQ(At(spans.spans[0], "http.route"), "");
}

TEST_F(Traces, WhoShowsNoKeyFillsNoQueue) {
  EXPECT_EQ(Send("GET", "/v1/topics", "", {{"traceparent", kSampled}}, false).status, 401);
  EXPECT_THAT(spans.spans, IsEmpty());
}

class AllTraces : public Traces {
 protected:
  AllTraces() : Traces(1) {}
};

TEST_F(AllTraces, BeginHereWithoutAParent) {
  ASSERT_EQ(Publish({}).status, 202);
  Span server = spans.Only(kServerName);
  EXPECT_EQ(server.parent_id, "");
  EXPECT_EQ(spans.Only(kPublishName).parent_id, server.context.span_id);
  // The publisher's own mark holds.
  spans.spans.clear();
  ASSERT_EQ(Publish({{"traceparent", kUnsampled}}).status, 202);
  EXPECT_THAT(spans.spans, IsEmpty());
}

class NotExported : public Traces {
 protected:
  NotExported() : Traces(1, false) {}
};

TEST_F(NotExported, TheMarkIsForSubscribers) {
  ASSERT_EQ(Publish({}).status, 202);
  EXPECT_THAT(*Log()[0].FindHeader("traceparent"), EndsWith("-01"));
  ASSERT_EQ(Publish({{"traceparent", kSampled}}).status, 202);
  std::vector<std::string> headers;
  for (const auto& record : Log()) headers.push_back(*record.FindHeader("traceparent"));
  EXPECT_THAT(headers, ::testing::Contains(kSampled)) << "no span stands between";
}

}  // namespace dispatch::gateway::traces_test
