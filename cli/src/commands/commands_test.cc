#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"
#include "cli/src/testing/verbs_test_base.h"

namespace dispatch::cli::commands_test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Verbs : public testing::VerbsTest {};

TEST_F(Verbs, HelpIsForEveryVerb) {
  ASSERT_EQ(m.Run({"--help"}), 0);
  for (const auto& command : Commands()) {
    const auto& info = command->info();
    if (info.hidden) continue;
    EXPECT_THAT(m.out, HasSubstr("  " + info.name));
    EXPECT_FALSE(info.summary.empty());
    EXPECT_FALSE(info.examples.empty()) << info.name;
  }
  for (const Kind& kind : Kinds()) {
    EXPECT_THAT(FindCommand("create")->info().summary, HasSubstr(kind.name));
  }
  ASSERT_EQ(m.Run({"help", "create", "sub"}), 0);
  EXPECT_THAT(m.out, HasSubstr("--sink-url URL"));
  ASSERT_EQ(m.Run({"publish", "--help"}), 0);
  EXPECT_THAT(m.out, HasSubstr("--batch N"));
  EXPECT_THAT(m.requests, IsEmpty());
}

TEST_F(Verbs, AWrongCommandLineIsTwo) {
  EXPECT_EQ(m.Run({}), 2);
  EXPECT_EQ(m.Run({"creat"}), 2);
  EXPECT_THAT(m.err, HasSubstr("did you mean `create`"));
  EXPECT_EQ(m.Run({"create", "topic"}), 2);
  EXPECT_EQ(m.Run({"create", "thing", "x"}), 2);
  EXPECT_THAT(m.err, HasSubstr("subscription"));
  EXPECT_EQ(m.Run({"create", "topic", "x", "--sink-url", "y"}), 2);
  EXPECT_THAT(m.err, HasSubstr("not a flag of a topic"));
  EXPECT_EQ(m.Run({"create", "topic", "x", "--retention", "soon"}), 2);
  EXPECT_EQ(m.Run({"get", "topics", "-o", "xml"}), 2);
  EXPECT_EQ(m.Run({"trace", "orders", "1"}), 2);
  EXPECT_EQ(m.Run({"trace", "orders", "one", "2"}), 2);
  EXPECT_THAT(m.requests, IsEmpty());
}

TEST_F(Verbs, CreatesATopic) {
  m.Answer(201, R"({"name": "orders", "partitions": 4})");
  ASSERT_EQ(m.Run({"create", "topic", "orders", "--partitions", "4", "--retention", "7d"}), 0);
  EXPECT_EQ(Sent(),
            R"(POST /v1/topics {"name":"orders","partitions":4,"retention":{"time":"7d"}})");
  EXPECT_EQ(m.out, "Created topic: orders\n");
  EXPECT_EQ(m.connection.token, "key");
}

TEST_F(Verbs, CreatesASubscription) {
  ASSERT_EQ(m.Run({"create",
                   "sub",
                   "s",
                   "--topic",
                   "orders",
                   "--event-type",
                   "order.created",
                   "--sink-url",
                   "http://x/",
                   "--filter",
                   R"({"prefix": {"type": "o."}})",
                   "--filter",
                   "priority > 5",
                   "--max-in-flight",
                   "5",
                   "--timeout",
                   "30s",
                   "--start",
                   "earliest",
                   "--paused",
                   "--sink-header",
                   "X-A: b"}),
            0)
      << m.err;
  EXPECT_EQ(
      Sent(),
      R"(POST /v1/subscriptions {"name":"s","topic":"orders",)"
      R"("filters":[{"prefix":{"type":"o."}},{"sql":"priority > 5"}],"eventType":"order.created",)"
      R"("sink":{"url":"http://x/","headers":{"X-A":"b"}},"start":"earliest",)"
      R"("maxInFlight":5,"timeout":"30s","paused":true})");
  ASSERT_EQ(m.Run({"create", "sub", "s", "--start", "2026-01-01T00:00:00Z", "--all-events"}), 0);
  EXPECT_EQ(m.Run({"create", "sub", "s", "--all-events", "--rate-limit", "fast"}), 2);
  ASSERT_EQ(m.Run({"create", "sub", "s", "--all-events", "--ordering", "key", "--on-failure",
                   "park", "--rate-limit", "5000/m"}),
            0);
  EXPECT_THAT(Sent(2), HasSubstr(R"("ordering":"key","onFailure":"park",)"
                                 R"("rateLimit":{"events":5000,"per":"1m"})"));
  ASSERT_EQ(m.Run({"create", "sub", "s", "--all-events", "--sink-url", "http://x", "--sink-mode",
                   "structured", "--sink-http", "2", "--sink-handshake", "--reply-topic", "r"}),
            0);
  EXPECT_THAT(Sent(3), HasSubstr(R"("replyTopic":"r")"));
  EXPECT_THAT(
      Sent(3),
      HasSubstr(R"("sink":{"url":"http://x","mode":"structured","http":"2","handshake":true})"));
  EXPECT_THAT(Sent(1), HasSubstr(R"("filters":[],"start":{"time":"2026-01-01T00:00:00Z"})"));
}

TEST_F(Verbs, DryRunsASubscription) {
  m.Answer(200, R"({"dryRun":true,"sample":50,"complete":false,"scanned":50,"matched":2,
                    "notCloudEvents":1,"oldest":"2026-01-01T00:00:00Z",
                    "evaluationErrors":{"events":3,"kinds":{"cast":3}},
                    "examples":[{"partition":1,"offset":7,"time":"2026-01-01T00:00:00Z",
                                 "event":{"id":"e","type":"t"}}]})");
  ASSERT_EQ(m.Run({"create", "sub", "s", "--filter", "priority > 5", "--sink-url", "http://h/",
                   "--dry-run", "--sample", "50"}),
            0);
  EXPECT_THAT(Sent(), StartsWith("POST /v1/subscriptions?dryRun=true&sample=50 "));
  EXPECT_THAT(m.out, HasSubstr("s would match 2 of the last 50 events"));
  EXPECT_THAT(m.out, HasSubstr("Time or bytes ran out"));
  EXPECT_THAT(m.out, HasSubstr("error for 3 events: cast 3"));
  EXPECT_THAT(m.out, HasSubstr("1:7"));
  EXPECT_EQ(m.Run({"create", "topic", "t", "--dry-run"}), 2);
  EXPECT_THAT(m.err, HasSubstr("for subscriptions, not for a topic"));
  EXPECT_EQ(m.Run({"create", "sub", "s", "--sink-url", "http://h/", "--sample", "5"}), 2);
}

TEST_F(Verbs, Replays) {
  m.Answer(201, R"({"id":"r1","status":"RUNNING","offsets":10})");
  ASSERT_EQ(m.Run({"replay", "s", "--from", "earliest", "--to", R"({"offsets":[3]})", "--rate",
                   "50", "--filter", "type = 'a'"}),
            0);
  EXPECT_EQ(Sent(),
            "POST /v1/subscriptions/s/replay "
            R"({"from":"earliest","to":{"offsets":[3]},"filter":"type = 'a'","rate":50})");
  EXPECT_EQ(m.out, "Began replay: r1\n");
  m.Answer(200, R"({"id":"r1","status":"DONE","offsets":10,"progress":{"read":10,"matched":4,
                    "delivered":3,"deadLettered":1,"cancelled":0,"lost":0,
                    "pending":{"queued":0,"inFlight":0,"retrying":0}}})");
  ASSERT_EQ(m.Run({"replay", "s", "--show", "r1"}), 0);
  EXPECT_EQ(m.out, "DONE: 10 of 10 offsets read, 4 matched, 3 delivered, 1 dead-lettered\n");
  ASSERT_EQ(m.Run({"replay", "s", "--cancel", "r1"}), 0);
  EXPECT_EQ(Sent(2), "DELETE /v1/subscriptions/s/replays/r1");
  m.Answer(200, R"([{"id":"r1","from":"earliest","status":"RUNNING","offsets":10}])");
  ASSERT_EQ(m.Run({"replay", "s", "--list"}), 0);
  EXPECT_THAT(m.out, HasSubstr("RUNNING: 10 offsets"));
  EXPECT_EQ(m.Run({"replay", "s"}), 2);
  EXPECT_EQ(m.Run({"replay", "s", "--list", "--rate", "5"}), 2);
}

TEST_F(Verbs, ShowsANewKeyOnce) {
  m.Answer(201, R"({"name": "ci", "id": "abc", "key": "dsp_abc_x"})");
  ASSERT_EQ(m.Run({"create", "key", "ci", "--scope", "publish:topic/orders", "--expires", "30d"}),
            0);
  EXPECT_EQ(Sent(), R"(POST /v1/iam/keys {"name":"ci","scopes":["publish:topic/orders"],)"
                    R"("expiresAt":"2027-02-14T08:00:00.000Z"})");
  EXPECT_THAT(m.out, HasSubstr("dsp_abc_x"));
  EXPECT_EQ(m.Run({"create", "key", "ci", "--expires", "soon"}), 2);
}

TEST_F(Verbs, FindsKeysByName) {
  m.Answer(200, R"([{"id": "one", "name": "ci"}, {"id": "two", "name": "ops"}])");
  m.Answer(204, "");
  ASSERT_EQ(m.Run({"delete", "key", "ops"}), 0) << m.err;
  EXPECT_EQ(Sent(1), "DELETE /v1/iam/keys/two");
  EXPECT_EQ(m.out, "Deleted key: ops\n");
}

TEST_F(Verbs, CreatesWhatAFileHolds) {
  m.Write("objects.yaml",
          "kind: Topic\nname: a\npartitions: 2\n---\nkind: Subscription\nname: b\nid: old\n"
          "sink: {url: \"http://x\"}\n");
  std::string path = m.directory / "objects.yaml";
  ASSERT_EQ(m.Run({"create", "-f", path}), 0) << m.err;
  EXPECT_EQ(Sent(0), R"(POST /v1/topics {"name":"a","partitions":2})");
  EXPECT_EQ(Sent(1), R"(POST /v1/subscriptions {"name":"b","sink":{"url":"http://x"}})");
  EXPECT_EQ(m.Run({"create", "topic", "-f", path}), 2);
  m.Write("bad.json", "{\"name\": \"a\"}");
  EXPECT_EQ(m.Run({"create", "-f", m.directory / "bad.json"}), 2);
  EXPECT_THAT(m.err, HasSubstr("kind"));
  EXPECT_EQ(m.Run({"create", "-f", m.directory / "none"}), 1);
}

TEST_F(Verbs, UpdatesOnlyWhatNobodyElseChanged) {
  m.Answer(200, R"({"name": "s", "id": "i", "kind": "Subscription", "revision": 7, "timeout": "30s",
                    "statistics": {}, "sink": {"url": "http://x"}})");
  m.Answer(412, R"({"code": 412, "message": "it is at revision 8"})");
  EXPECT_EQ(m.Run({"update", "sub", "s", "--timeout", "5s"}), 1);
  EXPECT_EQ(Sent(1),
            R"(PUT /v1/subscriptions/s {"name":"s","timeout":"5s","sink":{"url":"http://x"}})");
  EXPECT_EQ(m.requests[1].headers.Get("If-Match"), "\"7\"");
  EXPECT_THAT(m.err, HasSubstr("run the command again"));
  EXPECT_EQ(m.Run({"update", "sub", "s"}), 2);
}

TEST_F(Verbs, ShowsListsInThreeForms) {
  const char* list = R"([{"name": "orders", "partitions": 4, "retention": {"time": "7d"},
                          "status": "READY", "createdTime": 1700000000}])";
  for (int i = 0; i < 3; ++i) m.Answer(200, list);
  ASSERT_EQ(m.Run({"get", "topics"}), 0);
  EXPECT_EQ(m.out,
            "NAME    PARTITIONS  RETENTION  STATUS  CREATED\n"
            "orders  4           7d         READY   2023-11-14 22:13:20Z\n");
  ASSERT_EQ(m.Run({"-o", "json", "get", "topics"}), 0);
  EXPECT_THAT(m.out, StartsWith("[\n  {\n    \"name\": \"orders\""));
  ASSERT_EQ(m.Run({"get", "topics", "-o", "yaml"}), 0);
  EXPECT_THAT(m.out, StartsWith("- name: orders\n"));
}

TEST_F(Verbs, ErrorsCarryTheServersWordsAndARemedy) {
  m.Answer(401, R"({"code": 401, "message": "the API key is not known"})");
  EXPECT_EQ(m.Run({"get", "topics"}), 1);
  EXPECT_THAT(m.err, HasSubstr("dispatch: the API key is not known"));
  EXPECT_THAT(m.err, HasSubstr("--token"));
  EXPECT_THAT(m.out, IsEmpty());
  m.Answer(422,
           R"({"code": 422, "message": "wrong", "details": [{"field": "a", "reason": "no"}]})");
  EXPECT_EQ(m.Run({"create", "topic", "x"}), 1);
  EXPECT_THAT(m.err, HasSubstr("  a: no"));
  m.Answer(502, "<html>bad gateway</html>");
  EXPECT_EQ(m.Run({"get", "topics"}), 1);
  EXPECT_THAT(m.err, HasSubstr("is this the address"));
}

TEST_F(Verbs, PublishesOneEventAsItIs) {
  m.Answer(202, R"({"results": [{"id": "7", "topic": "o", "partition": 2, "offset": 41}]})");
  ASSERT_EQ(
      m.Run({"publish", "o", "--type", "t", "--id", "7", "--key", "k", "--data", "{\"a\":1}"}), 0);
  EXPECT_EQ(m.out, "Published o/2@41 (id 7)\n");
  EXPECT_EQ(Sent(), "POST /v1/topics/o/events {\"a\":1}");
  EXPECT_EQ(m.requests[0].headers.Get("Content-Type"), "application/json");
  EXPECT_THAT(m.requests[0].query, SizeIs(4));
  ASSERT_EQ(m.Run({"publish", "o", "--data", R"({"specversion": "1.0", "id": "1"})"}), 0);
  EXPECT_EQ(m.requests[1].headers.Get("Content-Type"), "application/cloudevents+json");
}

TEST_F(Verbs, PublishesLinesInBatches) {
  m.Write("lines", "{\"n\": 1}\n\nplain\n{\"n\": 3}\n");
  ASSERT_EQ(m.Run({"publish", "o", "--batch", "2", "--file", m.directory / "lines"}), 0) << m.err;
  ASSERT_THAT(m.requests, SizeIs(2));
  auto batch = json::Parse(m.requests[0].body).value().as_array();
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(json::Serialize(batch[0].at("data")), R"({"n":1})");
  EXPECT_EQ(json::Serialize(batch[1].at("data")), R"("plain")");
  EXPECT_THAT(m.out, StartsWith("Published 3 events to o in"));
}

TEST_F(Verbs, PublishesForLater) {
  using Query = std::vector<std::pair<std::string, std::string>>;
  m.Answer(202, R"({"results": [{"id": "7", "topic": "o", "partition": 2, "offset": 41}]})");
  ASSERT_EQ(
      m.Run({"publish", "o", "--data", R"({"specversion": "1.0", "id": "1"})", "--delay", "10m"}),
      0);
  EXPECT_EQ(m.requests[0].query, (Query{{"delay", "10m"}}));
  m.Write("lines", "{}\n");
  m.Answer(202, "{}");
  ASSERT_EQ(m.Run({"publish", "o", "--batch", "2", "--file", m.directory / "lines", "--deliver-at",
                   "2030-01-01T00:00:00Z"}),
            0)
      << m.err;
  EXPECT_EQ(m.requests[1].query, (Query{{"deliverAt", "2030-01-01T00:00:00Z"}}));
  EXPECT_EQ(m.Run({"publish", "o", "--data", "{}", "--delay", "1m", "--deliver-at", "x"}), 2);
  EXPECT_THAT(m.err, HasSubstr("exclude each other"));
}

TEST_F(Verbs, PublishesManyUnderNewIds) {
  ASSERT_EQ(m.Run({"publish", "o", "--data", "{}", "--count", "250"}), 0) << m.err;
  ASSERT_THAT(m.requests, SizeIs(3));
  auto batch = json::Parse(m.requests[2].body).value().as_array();
  ASSERT_EQ(batch.size(), 50u);
  EXPECT_NE(json::Serialize(batch[0].at("id")), json::Serialize(batch[1].at("id")));
  EXPECT_EQ(m.Run({"publish", "o", "--data", "{}", "--count", "2", "--id", "x"}), 2);
}

TEST_F(Verbs, SaysHowManyWereNotConfirmed) {
  m.Answer(207, R"({"results": [{"id": "1", "partition": 0, "offset": 1},
                                {"id": "2", "status": 503, "error": "Kafka is away"}]})");
  EXPECT_EQ(m.Run({"publish", "o", "--data", "{}", "--count", "2"}), 1);
  EXPECT_THAT(m.err, HasSubstr("1 of 2 events"));
  EXPECT_THAT(m.out, HasSubstr("Published 1 events"));
}

constexpr char kDeliveries[] = R"({"topic": "o", "partition": 2, "offset": 41, "deliveries": [
  {"subscription": "s", "status": "RETRYING", "nextAttempt": "2026-01-01T00:00:00Z", "attempts": [
    {"attempt": 1, "time": "2025-12-31T23:59:00Z", "status": 503, "latencyMs": 1.25,
     "outcome": "retry", "message": "503 from x", "answer": "over\u001b[2Jloaded"}]},
  {"subscription": "t", "status": "NO_RECORD", "attempts": [], "reason": "did not match"}]})";

TEST_F(Verbs, TracesAnEventByPosition) {
  for (int i = 0; i < 3; ++i) m.Answer(200, kDeliveries);
  ASSERT_EQ(m.Run({"trace", "o/2@41"}), 0) << m.err;
  EXPECT_EQ(Sent(), "GET /v1/topics/o/events/2/41/deliveries");
  EXPECT_EQ(
      m.out,
      "o/2@41\n\n"
      "s: RETRYING, next attempt 2026-01-01 00:00:00Z\n"
      "  ATTEMPT  TIME                  STATUS  LATENCY  OUTCOME  MESSAGE     ANSWER\n"
      "  1        2025-12-31 23:59:00Z  503     1.2 ms   retry    503 from x  over [2Jloaded\n"
      "\nt: NO_RECORD: did not match\n");
  ASSERT_EQ(m.Run({"trace", "o", "2", "41"}), 0);
  EXPECT_EQ(Sent(1), Sent(0));
  ASSERT_EQ(m.Run({"trace", "o/2/41"}), 0);
  EXPECT_EQ(Sent(2), Sent(0));
}

TEST_F(Verbs, TracesAnEventById) {
  m.Answer(200, R"({"id": "a/2/7", "complete": true, "notSearched": [], "found": [
    {"topic": "o", "partition": 2, "offset": 41, "time": "2026-01-01T00:00:00Z", "type": "made"}]})");
  m.Answer(200, kDeliveries);
  ASSERT_EQ(m.Run({"trace", "--id", "a/2/7", "--topic", "o"}), 0) << m.err;
  EXPECT_EQ(Sent(0), "GET /v1/events/a%2F2%2F7?topic=o");
  EXPECT_EQ(Sent(1), "GET /v1/topics/o/events/2/41/deliveries");
  EXPECT_THAT(m.out, StartsWith("o/2@41  type made  id a/2/7  at 2026-01-01 00:00:00Z\n\ns: RETR"));
  m.Answer(200, R"({"id": "x", "complete": false, "found": []})");
  EXPECT_EQ(m.Run({"trace", "x"}), 1);
  EXPECT_THAT(m.err, HasSubstr("older events were not looked at"));
  m.Answer(200, R"({"id": "x", "complete": true, "found": []})");
  EXPECT_EQ(m.Run({"trace", "x", "-o", "json"}), 1);
  EXPECT_THAT(m.out, HasSubstr("\"found\": []"));
  EXPECT_EQ(m.Run({"trace", "o/2@41", "--topic", "o"}), 2);
}

TEST_F(Verbs, FollowsATopicOverBrokenConnections) {
  m.streams = {
      {{"retry: 3000\nid: 0:5\n: events of o\n\n",
        "id: 0:6\ndata: {\"partition\":0,\"offset\":5,\"time\":\"2026-01-01T00:00:00Z\",\"event\":"
        "{\"id\":\"1\",\"type\":\"t\",\"data\":{\"n\":1}}}\n\nid: 0:7\nda"},
       Error{Code::kUnavailable, "reset", true}},
      {{"event: lost\ndata: {\"partition\":0,\"from\":6,\"to\":8,\"reason\":\"retention\"}\n\n",
        "id: 0:9\ndata: {\"partition\":0,\"offset\":8,\"time\":\"2026-01-01T00:00:00Z\",\"error\":"
        "\"bad\"}\n\nid: 0:10\ndata: {\"partition\":0,\"offset\":9}\n\n"},
       OkStatus()}};
  ASSERT_EQ(m.Run({"tail", "o", "--limit", "2", "--from", "0:5", "--filter", "a = 1"}), 0) << m.err;
  EXPECT_EQ(m.out,
            "2026-01-01 00:00:00Z  o/0@5  t  id=1  {\"n\":1}\n"
            "2026-01-01 00:00:00Z  o/0@8  is no CloudEvent: bad\n");
  EXPECT_THAT(m.err, HasSubstr("reset; going on in 3 s"));
  EXPECT_THAT(m.err, HasSubstr("events from offset 6 to 8 are lost: retention"));
  EXPECT_THAT(m.slept, ElementsAre(std::chrono::seconds(3)));
  ASSERT_THAT(m.requests, SizeIs(2));
  EXPECT_EQ(m.requests[0].headers.Get("Last-Event-ID"), std::nullopt);
  EXPECT_EQ(m.requests[1].headers.Get("Last-Event-ID"), "0:6");
  EXPECT_THAT(m.requests[1].query, Contains(Pair("limit", "1")));
}

TEST_F(Verbs, WaitsLongerWhileATopicCannotBeFollowed) {
  Error away{Code::kUnavailable, "away", true};
  m.streams = {{{"id: 0:1\n\n"}, OkStatus()}, {{}, away}, {{}, away}};
  EXPECT_EQ(m.Run({"tail", "o", "-o", "json"}), 1);  // 404 in the end
  EXPECT_THAT(m.slept, ElementsAre(std::chrono::seconds(2), std::chrono::seconds(4),
                                   std::chrono::seconds(8)));
  EXPECT_THAT(m.err, HasSubstr("no such topic"));
  m.slept.clear();
  m.streams = {{{}, away}};
  EXPECT_EQ(m.Run({"tail", "o"}), 1);
  EXPECT_THAT(m.slept, IsEmpty());
}

TEST_F(Verbs, AppliesWhatFilesDescribe) {
  m.Write("d/b.yaml",
          "kind: Subscription\nname: s\nrevision: 3\nsink: {url: \"http://x\"}\n---\n"
          "kind: Topic\nname: a\n");
  m.Write("d/c.json", R"({"kind": "Topic", "name": "c"})");
  m.Write("d/notes.txt", "no YAML: [");
  m.Answer(404, R"({"message": "topic a does not exist"})");
  m.Answer(201, R"({"name": "a", "revision": 1})");
  m.Answer(200, R"({"name": "c", "revision": 7})");
  m.Answer(200, R"({"name": "c", "revision": 7})");
  m.Answer(200, R"({"name": "s", "revision": 8})");
  m.Answer(200, R"({"name": "s", "revision": 9})");
  ASSERT_EQ(m.Run({"apply", "-f", m.directory / "d"}), 0) << m.err;
  EXPECT_EQ(m.out, "Applied Topic: a\nApplied Topic: c (unchanged)\nApplied Subscription: s\n");
  EXPECT_EQ(Sent(1), R"(POST /v1/topics {"name":"a"})");
  EXPECT_EQ(Sent(3), R"(PUT /v1/topics/c {"name":"c"})");
  EXPECT_EQ(Sent(5), R"(PUT /v1/subscriptions/s {"name":"s","sink":{"url":"http://x"}})");
  EXPECT_EQ(m.requests[5].headers.Get("If-Match"), "\"8\"");
}

TEST_F(Verbs, ApplyNamesFileAndDocumentAndGoesOn) {
  m.Write("two.yaml", "kind: Topic\nname: a\n---\nkind: Topic\nname: b\n");
  std::string file = m.directory / "two.yaml";
  m.Answer(404, "{}");
  m.Answer(422, R"({"message": "partitions must be a whole number"})");
  m.Answer(404, "{}");
  m.Answer(201, R"({"name": "b"})");
  EXPECT_EQ(m.Run({"apply", "-f", file}), 1);
  EXPECT_THAT(m.err, HasSubstr(file + ", document 1 (topic a): partitions must"));
  EXPECT_THAT(m.err, HasSubstr("1 of 2 objects were not applied"));
  EXPECT_EQ(m.out, "Applied Topic: b\n");

  // What is wrong in a file is found before anything is done.
  size_t before = m.requests.size();
  m.Write("bad.yaml", "kind: Topic\nname: a\n---\nkind: Thing\nname: b\n");
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "bad.yaml"}), 2);
  EXPECT_THAT(m.err, HasSubstr("bad.yaml, document 2: there is no kind 'Thing'"));
  m.Write("broken.yaml", "kind: Topic\nname: [a\n");
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "broken.yaml"}), 2);
  EXPECT_THAT(m.err, HasSubstr("broken.yaml: neither JSON nor YAML"));
  m.Write("twice.yaml", "- {kind: Topic, name: a}\n- {kind: topic, name: a}\n");
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "twice.yaml"}), 2);
  EXPECT_THAT(m.err, HasSubstr("twice.yaml, document 1, element 2: the topic 'a' is in"));
  m.Write("nameless.yaml", "kind: Topic\n");
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "nameless.yaml"}), 2);
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "none.yaml"}), 1);
  EXPECT_EQ(m.Run({"apply", "-f", m.directory / "home"}), 2);
  EXPECT_EQ(m.Run({"apply"}), 2);
  EXPECT_THAT(m.requests, SizeIs(before));
}

TEST_F(Verbs, ADryRunChangesNothing) {
  m.Write("a.yaml", "kind: Topic\nname: a\n---\nkind: Topic\nname: b\n");
  m.Answer(404, "{}");
  m.Answer(200, R"({"name": "b", "revision": 2})");
  ASSERT_EQ(m.Run({"apply", "--dry-run", "-f", m.directory / "a.yaml"}), 0) << m.err;
  EXPECT_EQ(m.out, "Would create Topic: a\nWould replace Topic: b\n");
  for (const auto& request : m.requests) EXPECT_EQ(request.method, "GET");
}

TEST_F(Verbs, CompletesWords) {
  auto complete = [this](std::vector<std::string> words) {
    words.insert(words.begin(), "__complete");
    EXPECT_EQ(m.Run(words), 0);
    return m.out;
  };
  EXPECT_THAT(complete({""}), HasSubstr("publish\tpublish events to a topic\n"));
  EXPECT_THAT(complete({""}), Not(HasSubstr("__complete")));
  EXPECT_EQ(complete({"pub"}), "publish\tpublish events to a topic\n");
  EXPECT_EQ(complete({"get", "top"}), "topic\tkind\n");
  EXPECT_EQ(complete({"-o", "y"}), "yaml\t\n");
  EXPECT_EQ(complete({"get", "topics", "--output=j"}), "--output=json\t\n");
  EXPECT_EQ(complete({"get", "topics", "--output", "=", "j"}), "json\t\n");
  EXPECT_EQ(complete({"create", "sub", "x", "--sink-m"}), "--sink-mode\thow (default binary)\n");
  EXPECT_EQ(complete({"create", "topic", "x", "--sink-m"}), "");
  EXPECT_EQ(complete({"create", "topic", ""}), "");
  EXPECT_EQ(complete({"completion", "z"}), "zsh\t\n");
  EXPECT_EQ(complete({"apply", "-f", ""}), ":files\n");
  EXPECT_EQ(complete({"up", ""}), "");
  EXPECT_EQ(complete({"nonsense", ""}), "");
  EXPECT_THAT(m.requests, IsEmpty());
  m.Answer(200, R"([{"name": "orders"}, {"name": "other"}, {"name": "third"}])");
  EXPECT_EQ(complete({"tail", "o"}), "orders\ttopic\nother\ttopic\n");
  m.Answer(200, R"([{"name": "s"}])");
  EXPECT_EQ(complete({"get", "-o", "json", "sub", ""}), "s\tsubscription\n");
  EXPECT_EQ(Sent(1), "GET /v1/subscriptions");
  m.Answer(401, "{}");
  EXPECT_EQ(complete({"publish", ""}), "");
}

TEST_F(Verbs, CompletionScriptsAreForThreeShells) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ASSERT_EQ(m.Run({"completion", shell}), 0);
    EXPECT_THAT(m.out, HasSubstr("__complete")) << shell;
  }
  EXPECT_EQ(m.Run({"completion", "tcsh"}), 2);
}

TEST_F(Verbs, ListsDeadLettersAndLag) {
  m.Answer(200, R"([{"id": "0-17", "topic": "o", "partition": 1, "offset": 5, "reason": "rejected",
                     "attempts": 1, "message": "404"}])");
  ASSERT_EQ(m.Run({"dead-letters", "s", "--limit", "5"}), 0);
  EXPECT_EQ(Sent(), "GET /v1/subscriptions/s/dead-letters?limit=5");
  EXPECT_THAT(m.out, HasSubstr("o/1@5"));
  m.Answer(200, R"({"id": "0-17", "event": {"id": "1"}})");
  ASSERT_EQ(m.Run({"dead-letters", "s", "0-17"}), 0);
  EXPECT_THAT(m.out, HasSubstr("event:\n  id: \"1\""));
  m.Answer(200, R"({"subscriptions": [{"name": "s", "topic": "o", "mode": "live", "unread": 3,
      "matched": 12, "evaluationErrors": {"events": 2, "kinds": {"cast": 2}},
      "pending": {"queued": 1, "inFlight": 2, "retrying": 4, "scheduled": 3}}],
      "topics": [{"name": "o", "partitions": [{"partition": 0, "position": 5, "end": 8, "lag": 3}]}]})");
  ASSERT_EQ(m.Run({"lag", "--partitions"}), 0) << m.err;
  EXPECT_THAT(m.out, HasSubstr("7 (4 retrying) +3 scheduled"));
  EXPECT_THAT(m.out, HasSubstr("12 (2 errors)"));
  EXPECT_THAT(m.out, HasSubstr("o      0          5         8    3"));
}

TEST_F(Verbs, ShowsTheLagOfOneSubscriptionWithTheKeysThatBlockIt) {
  ApiAnswer lag{200, {}, R"({"subscriptions": [
      {"name": "other", "topic": "p"},
      {"name": "s", "topic": "o", "blocked": {"keys": 1, "waiting": 412}}],
      "topics": [{"name": "o"}, {"name": "p"}]})"};
  ApiAnswer keys{200, {}, R"([{"key": "customer-7", "waiting": 412, "since": "2026-01-01T00:00:00Z",
      "attempts": 3, "status": 503, "cause": "503 from http://h", "nextAttempt": null,
      "partition": 1, "offset": 9}])"};
  m.answers = {lag, keys};
  ASSERT_EQ(m.Run({"lag", "s"}), 0) << m.err;
  EXPECT_EQ(Sent(1), "GET /v1/subscriptions/s/blocking-keys");
  EXPECT_THAT(m.out, HasSubstr("BLOCKING KEY"));
  EXPECT_THAT(m.out, HasSubstr("customer-7    412     1@9"));
  EXPECT_THAT(m.out, HasSubstr("now   503 from http://h"));
  EXPECT_THAT(m.out, Not(HasSubstr("other")));
  m.Answer(200, R"({"subscriptions": [], "topics": []})");
  EXPECT_NE(m.Run({"lag", "s"}), 0);
  EXPECT_THAT(m.err, HasSubstr("subscription 's' does not exist"));
}

TEST_F(Verbs, ListsAttemptsOverPages) {
  auto page = [](int count, const std::string& next) {
    ApiAnswer answer{200, {}, "["};
    for (int i = 0; i < count; ++i) {
      answer.body += i == 0 ? "" : ",";
      answer.body += R"({"partition": 1, "offset": 5, "attempt": 2, "status": 503,
          "latencyMs": 1.25, "outcome": "retry", "message": "503", "answer": "busy",
          "time": "2026-01-01T00:00:00Z", "replay": "r-1"})";
    }
    answer.body += "]";
    if (!next.empty()) answer.headers.Set("Link", "<" + next + ">; rel=\"next\"");
    return answer;
  };
  m.answers = {page(1000, "/v1/subscriptions/s/deliveries?limit=1000&cursor=a%2Bb"),
               page(600, "/v1/subscriptions/s/deliveries?limit=1000&cursor=c")};
  ASSERT_EQ(m.Run({"attempts", "s", "--limit", "1500", "--outcome", "retry", "--since",
                   "2026-01-01T00:00:00Z", "-o", "json"}),
            0)
      << m.err;
  EXPECT_EQ(Sent(0),
            "GET /v1/subscriptions/s/deliveries?limit=1000&status=retry&"
            "since=2026-01-01T00%3A00%3A00Z");
  EXPECT_EQ(Sent(1), "GET /v1/subscriptions/s/deliveries?limit=1000&cursor=a%2Bb");
  EXPECT_THAT(m.requests, SizeIs(2)) << "no more than it was asked for";
  auto shown = json::Parse(m.out);
  ASSERT_TRUE(shown.ok());
  EXPECT_EQ(shown->as_array().size(), 1500U);

  m.answers = {page(1, "")};
  ASSERT_EQ(m.Run({"attempts", "a b"}), 0);
  EXPECT_EQ(Sent(2), "GET /v1/subscriptions/a%20b/deliveries?limit=100");
  EXPECT_EQ(m.out,
            "POSITION  ATTEMPT  TIME                  STATUS  LATENCY  OUTCOME  MESSAGE  ANSWER  "
            "REPLAY\n"
            "1@5       2        2026-01-01 00:00:00Z  503     1.2 ms   retry    503      busy    "
            "r-1\n");
  m.Answer(404, R"({"message": "subscription 's' does not exist"})");
  EXPECT_EQ(m.Run({"attempts", "s"}), 1);
  EXPECT_THAT(m.err, HasSubstr("does not exist"));
  m.requests.clear();
  EXPECT_EQ(m.Run({"attempts", "s", "--outcome", "lost"}), 2);
  EXPECT_EQ(m.Run({"attempts", "s", "--limit", "0"}), 2);
  EXPECT_EQ(m.Run({"attempts"}), 2);
  EXPECT_THAT(m.requests, IsEmpty());
  ASSERT_EQ(m.Run({"__complete", "attempts", "s", "--outcome", "d"}), 0);
  EXPECT_EQ(m.out, "delivered\t\ndead-lettered\t\n");
}

TEST_F(Verbs, PurgesDeadLettersUntilNoneIsLeft) {
  m.Answer(200, R"({"purged": 10000, "left": 5})");
  m.Answer(200, R"({"purged": 5, "left": 0})");
  ASSERT_EQ(m.Run({"dead-letters", "purge", "s", "--reason", "rejected", "--type", "a b"}), 0);
  EXPECT_EQ(Sent(1), "DELETE /v1/subscriptions/s/dead-letters?reason=rejected&type=a%20b");
  EXPECT_EQ(m.out, "Purged dead letters: 10005\n");
  EXPECT_EQ(m.Run({"dead-letters", "purge", "s"}), 2) << "all of them only when asked for";
  EXPECT_EQ(m.Run({"dead-letters", "purge", "s", "--all", "--status", "404"}), 2);
  EXPECT_EQ(m.Run({"dead-letters", "get", "s"}), 2);
  m.requests.clear();
  m.Answer(200, R"({"purged": 0, "left": 0})");
  ASSERT_EQ(m.Run({"dead-letters", "purge", "s", "--all"}), 0);
  EXPECT_EQ(Sent(), "DELETE /v1/subscriptions/s/dead-letters");
}

TEST_F(Verbs, RedrivesDeadLetters) {
  m.Answer(202, R"({"id": "j", "state": "RUNNING", "total": 2, "moved": 0})");
  m.Answer(200, R"({"id": "j", "state": "DONE", "total": 2, "moved": 2})");
  ASSERT_EQ(m.Run({"dead-letters", "redrive", "s", "--all", "--rate", "100/s", "--wait"}), 0);
  EXPECT_EQ(Sent(0), R"(POST /v1/subscriptions/s/dead-letters/redrive )"
                     R"({"filter":{},"rate":{"events":100,"per":"1s"}})");
  EXPECT_EQ(Sent(1), "GET /v1/subscriptions/s/dead-letters/redrive/j");
  EXPECT_EQ(m.out, "Redrive j: DONE, 2 of 2 moved\n");
  EXPECT_EQ(m.err, "0 of 2 moved\n");
  EXPECT_EQ(m.Run({"dead-letters", "redrive", "s"}), 2);
  EXPECT_EQ(m.Run({"dead-letters", "redrive", "s", "--all", "--rate", "fast"}), 2);
  m.requests.clear();
  m.Answer(200, R"({"id": "j", "state": "CANCELLED", "total": 2, "moved": 1})");
  ASSERT_EQ(m.Run({"dead-letters", "redrive", "s", "--cancel", "j"}), 0);
  EXPECT_EQ(Sent(0), "DELETE /v1/subscriptions/s/dead-letters/redrive/j");
  m.Answer(200, R"([{"id": "j", "state": "DONE", "filter": {"status": 404}, "moved": 3}])");
  ASSERT_EQ(m.Run({"dead-letters", "redrives", "s"}), 0);
  EXPECT_THAT(m.out, HasSubstr("404"));
}

TEST_F(Verbs, PausesAndResumes) {
  ASSERT_EQ(m.Run({"pause", "s"}), 0);
  EXPECT_EQ(m.out, "Paused subscription: s\n");
  ASSERT_EQ(m.Run({"resume", "s"}), 0);
  EXPECT_EQ(Sent(1), "POST /v1/subscriptions/s/resume");
}

TEST_F(Verbs, TheLocalStackNeedsItsSource) {
  EXPECT_EQ(m.Run({"up"}), 1);
  EXPECT_THAT(m.err, HasSubstr("DISPATCH_SOURCE"));
}

TEST_F(Verbs, VersionAsksTheServerWhenThereIsOne) {
  m.Answer(200, R"({"version": "9.9", "commit": "abc"})");
  ASSERT_EQ(m.Run({"version"}), 0);
  EXPECT_THAT(m.out, HasSubstr("Server: 9.9 (abc)\n"));
  m.variables.erase("DISPATCH_HOST");
  ASSERT_EQ(m.Run({"version"}), 0);
  EXPECT_THAT(m.out, HasSubstr("Server: unknown"));
}

TEST_F(Verbs, IamIsUnderstood) {
  m.Write("ci.pub", "PEM");
  ASSERT_EQ(
      m.Run({"iam", "create", "serviceaccount", "ci", "--public-key", m.directory / "ci.pub"}), 0)
      << m.err;
  EXPECT_EQ(m.out, "Created service account: \n");
  EXPECT_EQ(Sent(), R"(POST /v1/iam/serviceaccount {"name":"ci","publicKey":"UEVN"})");
  ASSERT_EQ(m.Run({"iam", "delete", "serviceaccount", "ci"}), 0) << m.err;
  EXPECT_EQ(m.out, "Deleted ServiceAccount: ci\n");
  m.requests.clear();
  ASSERT_EQ(m.Run({"iam", "create", "policy", "p", "--subject", "key:a,key:b", "--action", "read",
                   "--resource", "*"}),
            0)
      << m.err;
  EXPECT_EQ(Sent(), R"(POST /v1/iam/policy {"name":"p","rules":[{"subjects":["key:a","key:b"],)"
                    R"("actions":["read"],"resources":["*"]}]})");
  EXPECT_EQ(m.Run({"create", "policy", "p", "--subject", "x"}), 2);
}

}  // namespace
}  // namespace dispatch::cli::commands_test
