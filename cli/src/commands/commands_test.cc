#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/command.h"
#include "cli/src/testing/fake_machine.h"

namespace dispatch::cli::commands_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Verbs : public ::testing::Test {
 protected:
  Verbs() {
    m.variables["DISPATCH_HOST"] = "127.0.0.1";
    m.variables["DISPATCH_TOKEN"] = "key";
  }
  std::string Sent(size_t i = 0) const {
    if (i >= m.requests.size()) return "(nothing)";
    const auto& r = m.requests[i];
    return r.method + " " + r.path + (r.body.empty() ? "" : " " + r.body);
  }
  testing::FakeMachine m;
};

TEST_F(Verbs, HelpIsForEveryVerb) {
  ASSERT_EQ(m.Run({"--help"}), 0);
  for (const auto& command : Commands()) {
    const auto& info = command->info();
    EXPECT_THAT(m.out, HasSubstr("  " + info.name));
    EXPECT_FALSE(info.summary.empty());
    EXPECT_FALSE(info.examples.empty()) << info.name;
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

TEST_F(Verbs, TracesAnEvent) {
  for (int i = 0; i < 2; ++i) {
    m.Answer(200, R"({"topic": "o", "partition": 2, "offset": 41, "deliveries": [
      {"subscription": "s", "status": "RETRYING", "nextAttempt": "2026-01-01T00:00:00Z",
       "attempts": [{"status": 503, "message": "503 from x"}]},
      {"subscription": "t", "status": "no-record", "reason": "did not match"}]})");
  }
  ASSERT_EQ(m.Run({"trace", "o/2@41"}), 0) << m.err;
  EXPECT_EQ(Sent(), "GET /v1/topics/o/events/2/41/deliveries");
  EXPECT_EQ(m.out,
            "SUBSCRIPTION  STATUS     ATTEMPTS  LAST ANSWER  NOTE\n"
            "s             RETRYING   1         503 from x   next attempt 2026-01-01T00:00:00Z\n"
            "t             no-record  -         -            did not match\n");
  ASSERT_EQ(m.Run({"trace", "o", "2", "41"}), 0);
  EXPECT_EQ(Sent(1), Sent(0));
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
      "pending": {"queued": 1, "inFlight": 2, "retrying": 4}}],
      "topics": [{"name": "o", "partitions": [{"partition": 0, "position": 5, "end": 8, "lag": 3}]}]})");
  ASSERT_EQ(m.Run({"lag", "--partitions"}), 0) << m.err;
  EXPECT_THAT(m.out, HasSubstr("7 (4 retrying)"));
  EXPECT_THAT(m.out, HasSubstr("o      0          5         8    3"));
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
