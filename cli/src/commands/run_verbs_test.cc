#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/testing/fake_machine.h"
#include "common/crypto.h"

namespace dispatch::cli::run_verbs_test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kId[] = "0190a6e2-7b1c-7000-8000-000000000001";
constexpr char kRun[] =
    R"({"name":"0190a6e2-7b1c-7000-8000-000000000001","functionName":"hello","status":"READY",)"
    R"("executedTime":1800000000123456000,"finishedTime":1800000001000000000,"output":{"a":1},)"
    R"("logs":{"stdout":["one","two"],"stderr":["oops"]}})";
constexpr char kFailed[] =
    R"({"name":"0190a6e2-7b1c-7000-8000-000000000002","functionName":"hello","status":"ERROR",)"
    R"("executedTime":1800000002000000000,"finishedTime":1800000003000000000,)"
    R"("logs":{"stdout":null,"stderr":null},)"
    R"("error":{"type":"InputError","message":"no name","stacktrace":["line 3"]}})";

class RunVerbs : public ::testing::Test {
 protected:
  RunVerbs() {
    m.variables["DISPATCH_HOST"] = "127.0.0.1";
    m.variables["DISPATCH_TOKEN"] = "key";
  }
  std::string Sent(size_t i = 0) const {
    if (i >= m.requests.size()) return "(nothing)";
    const auto& r = m.requests[i];
    std::string query;
    for (const auto& [name, value] : r.query) query += "&" + name + "=" + value;
    return r.method + " " + r.path + query + (r.body.empty() ? "" : " " + r.body);
  }
  testing::FakeMachine m;
};

TEST_F(RunVerbs, ExecPrintsTheRun) {
  m.Answer(200, kFailed);
  ASSERT_EQ(m.Run({"exec", "hello", "--wait", "--input", R"({"name": ""})", "--secret", "a"}), 0);
  EXPECT_EQ(Sent(),
            "POST /v1/runs&functionName=hello "
            R"({"input":{"name":""},"blocking":true,"secrets":["a"]})");
  EXPECT_GE(m.requests[0].timeout, std::chrono::minutes(5));
  EXPECT_THAT(m.out, HasSubstr(R"("type": "InputError")"));
  m.Answer(200, kFailed);
  EXPECT_EQ(m.Run({"exec", "hello", "--wait", "--fail"}), 1);
  EXPECT_THAT(m.err, HasSubstr("hello failed: no name"));
  EXPECT_EQ(m.Run({"exec", "hello", "--fail"}), 2);
}

TEST_F(RunVerbs, ExecTakesItsInputFromAPipeUnlessItIsSaid) {
  m.piped = "[1, 2]\n";
  ASSERT_EQ(m.Run({"exec", "hello"}), 0) << m.err;
  EXPECT_THAT(Sent(), EndsWith(R"( {"input":[1,2]})"));
  ASSERT_EQ(m.Run({"exec", "hello", "--input", "null"}), 0) << m.err;
  EXPECT_THAT(Sent(1), EndsWith(R"( {"input":null})"));
  m.Write("in.json", "7");
  ASSERT_EQ(m.Run({"exec", "hello", "--input", "@" + (m.directory / "in.json").string()}), 0);
  EXPECT_THAT(Sent(2), EndsWith(R"( {"input":7})"));
  m.piped = "";
  ASSERT_EQ(m.Run({"exec", "hello"}), 0) << m.err;
  EXPECT_THAT(Sent(3), EndsWith(" {}"));
  m.piped = "plain words";
  EXPECT_EQ(m.Run({"exec", "hello"}), 2);
  EXPECT_THAT(m.err, HasSubstr("standard input is no JSON"));
  EXPECT_THAT(m.err, HasSubstr("-c text/plain"));
}

TEST_F(RunVerbs, ExecSendsBytesInTheKnativeForm) {
  m.piped = "plain words";
  m.Answer(200, R"({"status":"READY","outputBytes":")" + crypto::Base64Encode(R"({"payload":2})") +
                    "\"}");
  ASSERT_EQ(m.Run({"exec", "count", "-c", "text/plain"}), 0) << m.err;
  EXPECT_EQ(m.out, R"({"payload":2})");
  auto body = json::ParseObject(m.requests[0].body);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(json::GetString(*body, "inputBytes"), crypto::Base64Encode("plain words"));
  EXPECT_TRUE(json::GetBool(*body, "blocking"));
  EXPECT_EQ(json::GetString(*json::GetObject(*body, "httpContext"), "Content-Type"), "text/plain");
}

TEST_F(RunVerbs, GetsRunsWithVmwaresColumns) {
  m.Answer(200, std::string("[") + kRun + "," + kFailed + "]");
  ASSERT_EQ(m.Run({"get", "runs", "hello"}), 0) << m.err;
  EXPECT_EQ(Sent(), "GET /v1/runs&functionName=hello");
  EXPECT_THAT(m.out, MatchesRegex("ID +FUNCTION +STATUS +STARTED +FINISHED *\n"
                                  ".*0002 +hello +ERROR +2027-01-15T08:00:02.000Z .*\n"
                                  ".*0001 +hello +READY +2027-01-15T08:00:00.123Z .*\n"));
  m.Answer(200, std::string("[") + kRun + "," + kFailed + "]");
  ASSERT_EQ(m.Run({"get", "runs", "--by", "status"}), 0) << m.err;
  EXPECT_LT(m.out.find("ERROR"), m.out.find("READY"));
  EXPECT_EQ(m.Run({"get", "runs", "--by", "size"}), 2);
  m.Answer(200, std::string("[") + kRun + "]");
  ASSERT_EQ(m.Run({"get", "run", "hello", "--last", "--since", "10m", "-o", "json"}), 0) << m.err;
  EXPECT_EQ(Sent(2), "GET /v1/runs&functionName=hello&since=1799999400&limit=1");
  EXPECT_THAT(m.out, StartsWith("{"));
  m.Answer(200, kRun);
  ASSERT_EQ(m.Run({"get", "run", "hello", kId}), 0) << m.err;
  EXPECT_EQ(Sent(3), std::string("GET /v1/runs/") + kId + "?functionName=hello");
  m.Answer(200, kRun);
  ASSERT_EQ(m.Run({"get", "run", kId}), 0) << m.err;
  EXPECT_EQ(Sent(4), std::string("GET /v1/runs/") + kId);
  EXPECT_EQ(m.Run({"get", "topics", "--last"}), 2);
  EXPECT_THAT(m.err, HasSubstr("--last is for `get runs`"));
}

TEST_F(RunVerbs, FollowsRunsOverABrokenConnection) {
  std::string first = std::string("id: 7\ndata: ") + kRun + "\n\n";
  std::string second = std::string("id: 8\ndata: ") + kFailed + "\n\n";
  m.streams = {{{first}, Error{Code::kUnavailable, "the connection broke", true}}, {{second}, {}}};
  EXPECT_EQ(m.Run({"get", "runs", "hello", "-f", "--status", "READY"}), 1);  // then it is gone
  EXPECT_EQ(Sent(), "GET /v1/runs&functionName=hello&status=READY&follow=true");
  ASSERT_GE(m.requests.size(), 2u);
  EXPECT_EQ(m.requests[1].headers.Get("Last-Event-ID"), "7");
  EXPECT_THAT(m.out, MatchesRegex(".*0001  hello  READY .*\n.*0002  hello  ERROR .*\n"));
}

TEST_F(RunVerbs, LogsOfARunAreItsStreams) {
  m.Answer(200, kRun);
  ASSERT_EQ(m.Run({"log", kId}), 0) << m.err;
  EXPECT_EQ(m.out, "one\ntwo\n");
  EXPECT_EQ(m.err, "oops\n");
  m.Answer(200, R"({"status":"CREATING","finishedTime":0})");
  m.Answer(200, kFailed);
  ASSERT_EQ(m.Run({"log", "run", kId, "-f"}), 0) << m.err;
  EXPECT_EQ(m.slept.size(), 1u);
  EXPECT_EQ(m.err, "InputError: no name\n  line 3\n");
}

TEST_F(RunVerbs, LogsOfAFunctionAndAnImage) {
  m.Answer(200, R"({"name":"hello","kind":"Function","status":"READY","reason":[]})");
  m.Answer(200, std::string("[") + kFailed + "," + kRun + "]");
  ASSERT_EQ(m.Run({"log", "hello", "--last", "2"}), 0) << m.err;
  EXPECT_THAT(m.out, MatchesRegex("==> .*0001 .*\none\ntwo\n==> .*0002 .*\n"));
  m.Answer(200, R"({"name":"web","kind":"Image","status":"ERROR","reason":["pip: no\nsuch"]})");
  ASSERT_EQ(m.Run({"log", "image", "web"}), 0) << m.err;
  EXPECT_EQ(m.out, "pip: no\nsuch\n");
  EXPECT_EQ(m.err, "web is ERROR\n");
  EXPECT_EQ(m.Run({"log", "topic", "x"}), 2);
}

TEST_F(RunVerbs, FollowsTheBuildingOfAnImage) {
  auto image = [](const std::string& status, const std::string& log, const std::string& reason) {
    return R"({"name":"web","kind":"Image","status":")" + status + R"(","log":)" + log +
           R"(,"reason":)" + reason + "}";
  };
  m.Answer(200, R"({"name":"web","kind":"Image","status":"INITIALIZED","reason":[]})");
  m.Answer(200, image("CREATING", R"(["one","two"])", "[]"));
  m.Answer(200, image("CREATING", R"(["one","two","two"])", "[]"));
  // The server has the end only, and the tool's words in the reason too.
  m.Answer(200, image("ERROR", R"(["two","two","three"])", R"(["pip failed: two\nthree"])"));
  ASSERT_EQ(m.Run({"log", "image", "web", "-f"}), 0) << m.err;
  EXPECT_EQ(m.out, "one\ntwo\ntwo\nthree\npip failed: two\n");
  EXPECT_EQ(m.err, "web is ERROR\n");
  EXPECT_EQ(m.slept.size(), 3u);
  EXPECT_EQ(Sent(3), "GET /v1/image/web");
}

TEST_F(RunVerbs, EmitsOneEvent) {
  ASSERT_EQ(m.Run({"emit", "user.created", "--data", R"({"a": 1})", "--event-id", "e-1"}), 0);
  EXPECT_EQ(m.out, "event emitted\n");
  EXPECT_EQ(Sent(), R"(POST /v1/event {"cloudEventsVersion":"0.1","eventType":"user.created",)"
                    R"("source":"dispatch","eventID":"e-1","eventTime":"2027-01-15T08:00:00.000Z",)"
                    R"("contentType":"application/json","data":{"a":1}})");
  m.Write("p.bin", "\x01\x02");
  ASSERT_EQ(m.Run({"emit", "t", "--data-from-file", m.directory / "p.bin", "--binary", "--topic",
                   "photos"}),
            0);
  EXPECT_THAT(Sent(1), StartsWith("POST /v1/event?topic=photos "));
  EXPECT_THAT(Sent(1), HasSubstr(R"("contentType":"application/octet-stream","data":"AQI=")"));
  EXPECT_EQ(m.Run({"emit", "t", "--data", "plain"}), 2);
  EXPECT_THAT(m.err, HasSubstr("--content-type text/plain"));
}

TEST_F(RunVerbs, EditWritesWhatTheEditorLeft) {
  m.variables["EDITOR"] = "vi -n";
  m.variables["TMPDIR"] = m.directory;
  std::filesystem::path edited;
  std::string change;
  m.edit = [&](const std::filesystem::path& file) {
    edited = file;
    if (!change.empty()) std::ofstream(file) << change;
    return 0;
  };
  const char* object = R"({"name":"web","kind":"API","function":"a","id":"1","revision":4})";
  m.Answer(200, object);
  ASSERT_EQ(m.Run({"edit", "api", "web"}), 0) << m.err;
  EXPECT_EQ(m.err, "nothing was changed\n");
  EXPECT_EQ(m.requests.size(), 1u);
  EXPECT_EQ(m.editors, std::vector<std::string>{"vi -n"});
  EXPECT_FALSE(std::filesystem::exists(edited));

  change = "kind: API\nname: web\nfunction: b\n";
  m.Answer(200, object);
  m.Answer(200, object);
  ASSERT_EQ(m.Run({"edit", "api", "web"}), 0) << m.err;
  EXPECT_EQ(m.out, "Updated api: web\n");
  EXPECT_EQ(Sent(2), R"(PUT /v1/api/web {"name":"web","function":"b"})");
  EXPECT_EQ(m.requests[2].headers.Get("If-Match"), "\"4\"");
  EXPECT_FALSE(std::filesystem::exists(edited));

  m.Answer(200, object);
  m.Answer(422, R"({"message": "function must be a name"})");
  EXPECT_EQ(m.Run({"edit", "api", "web"}), 1);
  EXPECT_THAT(m.err, HasSubstr("function must be a name"));
  EXPECT_THAT(m.err, HasSubstr("what you wrote is in " + edited.string()));
  EXPECT_TRUE(std::filesystem::exists(edited));

  change = "kind: API\nname: other\n";
  m.Answer(200, object);
  EXPECT_EQ(m.Run({"edit", "api", "web"}), 1);
  EXPECT_THAT(m.err, HasSubstr("the name cannot change"));
  m.variables.erase("EDITOR");
  EXPECT_EQ(m.Run({"edit", "api", "web"}), 2);
  EXPECT_THAT(m.err, HasSubstr("EDITOR"));
}

TEST_F(RunVerbs, ApisHaveVmwaresFlagsAndColumns) {
  m.Answer(200, R"({"name":"hi"})");
  ASSERT_EQ(m.Run({"create", "api", "hi", "hello"}), 0) << m.err;
  EXPECT_EQ(m.out, "Created api: hi\n");
  EXPECT_EQ(Sent(), R"(POST /v1/api {"name":"hi","function":"hello","uris":["/"],)"
                    R"("methods":["GET"],"enabled":true})");
  ASSERT_EQ(m.Run({"create", "api", "hi", "hello", "-p", "/a", "-m", "POST", "-d", "x.com",
                   "--https-only", "--disable", "--cors", "--auth", "key", "-a", "shop"}),
            0);
  EXPECT_EQ(Sent(1), R"(POST /v1/api {"name":"hi","function":"hello","uris":["/a"],)"
                     R"("methods":["POST"],"enabled":false,"hosts":["x.com"],)"
                     R"("protocols":["https"],"authentication":"key","cors":true,)"
                     R"("tags":[{"key":"Application","value":"shop"}]})");
  m.Answer(200, R"([{"name":"hi","function":"hello","uris":["/o/hi"],"methods":["GET"],)"
                R"("protocols":[],"hosts":[],"authentication":"public","status":"READY",)"
                R"("enabled":true}])");
  ASSERT_EQ(m.Run({"get", "api"}), 0) << m.err;
  EXPECT_THAT(m.out, MatchesRegex("NAME +FUNCTION +PROTOCOL +METHOD +DOMAIN +PATH +AUTH +STATUS "
                                  "+ENABLED *\nhi +hello +http,https +GET +- "
                                  "+http://127.0.0.1:8081/o/hi +public +READY +true *\n"));
  EXPECT_EQ(m.Run({"create", "api", "hi"}), 2);
  m.Answer(200, R"([{"name":"hi","uris":["/o/hi"],"protocols":["https"]}])");
  ASSERT_EQ(m.Run({"get", "api"}), 0) << m.err;
  EXPECT_THAT(m.out, HasSubstr("https://127.0.0.1:8444/o/hi"));
}

TEST_F(RunVerbs, ApisTakeTheKeysOfTokens) {
  m.Write("a.pem", "-----BEGIN PUBLIC KEY-----\n");
  m.Write("b.json", R"( {"keys": []})");
  m.Answer(200, R"({"name":"hi"})");
  ASSERT_EQ(m.Run({"create", "api", "hi", "hello", "--auth", "jwt", "--jwt-keys",
                   m.directory / "a.pem", "--jwt-keys", m.directory / "b.json", "--jwt-issuer", "i",
                   "--jwt-audience", "a", "--jwt-audience", "b", "--jwt-leeway", "5s"}),
            0)
      << m.err;
  EXPECT_EQ(Sent(), R"(POST /v1/api {"name":"hi","function":"hello","uris":["/"],)"
                    R"("methods":["GET"],"enabled":true,"authentication":"jwt",)"
                    R"("jwt":{"jwks":{"keys":[]},"publicKeys":["-----BEGIN PUBLIC KEY-----\n"],)"
                    R"("issuer":"i","audience":["a","b"],"leeway":"5s"}})");
  // What is not said stays; another way to authenticate needs no keys.
  const char* object = R"({"name":"hi","function":"hello","authentication":"jwt","revision":3,)"
                       R"("jwt":{"publicKeys":["k"],"issuer":"i"}})";
  m.Answer(200, object);
  m.Answer(200, object);
  ASSERT_EQ(m.Run({"update", "api", "hi", "--jwt-issuer", "j"}), 0) << m.err;
  EXPECT_THAT(Sent(2), HasSubstr(R"("jwt":{"publicKeys":["k"],"issuer":"j"})"));
  m.Answer(200, object);
  m.Answer(200, object);
  ASSERT_EQ(m.Run({"update", "api", "hi", "--auth", "public"}), 0) << m.err;
  EXPECT_THAT(Sent(4), Not(HasSubstr("jwt")));
  EXPECT_EQ(m.Run({"create", "api", "hi", "hello", "--jwt-keys", "/nowhere"}), 1);
}

TEST_F(RunVerbs, SecretsAndSubscriptionsAsVmwareHasThem) {
  m.Write("s.json", R"({"password": "xyzzy"})");
  m.Answer(201, R"({"name":"s"})");
  ASSERT_EQ(m.Run({"create", "secret", "s", m.directory / "s.json"}), 0) << m.err;
  EXPECT_EQ(m.out, "Created secret: s\n");
  EXPECT_EQ(Sent(), R"(POST /v1/secret {"name":"s","secrets":{"password":"xyzzy"}})");
  m.Answer(200, R"([{"id":"1","name":"s","secrets":{"password":"<hidden>"}}])");
  ASSERT_EQ(m.Run({"get", "secret"}), 0);
  EXPECT_THAT(m.out, MatchesRegex("ID +NAME +CONTENT *\n1 +s +password: <hidden> *\n"));
  m.Write("bad.json", R"({"password": 7})");
  EXPECT_EQ(m.Run({"create", "secret", "s", m.directory / "bad.json"}), 2);
  EXPECT_THAT(m.err, HasSubstr("put it in quotes"));

  m.Answer(201, R"({"name":"greet"})");
  ASSERT_EQ(m.Run({"create", "subscription", "hello", "--name", "greet", "--event-type", "t"}), 0);
  EXPECT_EQ(m.out, "created subscription: greet\n");
  EXPECT_EQ(Sent(2), R"(POST /v1/subscriptions {"name":"greet","function":"hello",)"
                     R"("eventType":"t"})");
  ASSERT_EQ(m.Run({"create", "subscription", "hello", "--event-type", "t"}), 0) << m.err;
  EXPECT_THAT(Sent(3), ::testing::ContainsRegex("\"name\":\"[a-z]+-[a-z]+-[0-9]{6}\""));
}

TEST_F(RunVerbs, ApplyKeepsWhatLooksLikeALineOfDashesInAKey) {
  m.Write("s.yaml",
          "kind: Secret\nname: tls\nsecrets:\n  key: |\n    -----BEGIN KEY-----\n    AAAA\n"
          "    -----END KEY-----\n---\nkind: Topic\nname: a\n");
  m.Answer(404, "{}");
  m.Answer(201, R"({"name":"a"})");
  m.Answer(404, "{}");
  m.Answer(201, R"({"name":"tls"})");
  ASSERT_EQ(m.Run({"apply", "-f", m.directory / "s.yaml"}), 0) << m.err;
  EXPECT_EQ(m.out, "Applied Topic: a\nApplied Secret: tls\n");
  EXPECT_THAT(Sent(3), HasSubstr(R"(-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n)"));
}

TEST_F(RunVerbs, LogsInAndOut) {
  m.Answer(200, R"({"message":"hello"})");
  ASSERT_EQ(m.Run({"login", "--token", "new-key"}), 0) << m.err;
  EXPECT_EQ(m.out, "You have successfully logged in\n");
  EXPECT_EQ(Sent(), "GET /home");
  m.variables.clear();
  m.variables["HOME"] = m.directory / "home";
  ASSERT_EQ(m.Run({"context", "current"}), 0) << m.err;
  EXPECT_EQ(m.out, "default\n");
  ASSERT_EQ(m.Run({"get", "topics"}), 1);  // what was answered is no list
  EXPECT_EQ(m.connection.token, "new-key");
  ASSERT_EQ(m.Run({"logout"}), 0) << m.err;
  EXPECT_EQ(m.out, "You have successfully logged out\n");
  m.Run({"get", "topics"});
  EXPECT_EQ(m.connection.token, "");
  EXPECT_EQ(m.Run({"login"}), 2);
}

TEST_F(RunVerbs, CancelsRerunsAndRollsBack) {
  m.Answer(200, kRun);
  ASSERT_EQ(m.Run({"cancel", kId}), 0) << m.err;
  EXPECT_EQ(m.out, std::string("Cancelled run: ") + kId + "\n");
  m.Answer(202, kFailed);
  ASSERT_EQ(m.Run({"rerun", kId}), 0) << m.err;
  EXPECT_THAT(m.out, MatchesRegex("Started run: .*0002\n"));
  m.Answer(200, R"({"versions":[{"version":3},{"version":2}]})");
  m.Answer(200, R"({"name":"hello"})");
  ASSERT_EQ(m.Run({"rollback", "hello"}), 0) << m.err;
  EXPECT_EQ(m.out, "Rolling back function: hello (to version 2)\n");
  EXPECT_EQ(Sent(3), R"(POST /v1/function/hello/rollback {"version":2})");
  m.Answer(200, R"({"versions":[{"version":3}]})");
  EXPECT_EQ(m.Run({"rollback", "hello"}), 1);
  EXPECT_THAT(m.err, Not(HasSubstr("see `dispatch help")));
}

}  // namespace
}  // namespace dispatch::cli::run_verbs_test
