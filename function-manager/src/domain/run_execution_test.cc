#include "function-manager/src/domain/run_execution.h"

#include <gtest/gtest.h>

#include "common/testing/recorded_spans.h"
#include "common/testing/simulated_loop.h"
#include "function-manager/src/domain/function_event.h"

namespace dispatch::run_execution_test {
namespace {

// A function that a script is: what it was given, and what it is to answer.
class ScriptedRunner : public Runner {
 public:
  void Prove(VersionPtr, std::function<void(Status)> done) override { done({}); }
  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) override {
    versions.push_back(version);
    inputs.push_back(std::move(input));
    waiting.push_back(std::move(done));
    if (!hold) Answer();
  }
  void Retire(const Uuid&) override {}

  void Answer() {
    auto done = std::move(waiting.back());
    waiting.pop_back();
    done(answer);
  }

  bool hold = false;
  RunOutcome answer;
  std::vector<VersionPtr> versions;
  std::vector<RunInput> inputs;
  std::vector<std::function<void(RunOutcome)>> waiting;
};

class RunExecutionTest : public ::testing::Test {
 protected:
  RunExecutionTest() {
    function_.version = std::make_shared<FunctionVersion>(
        FunctionVersion{.id = Uuid::Random(), .org = "acme", .name = "hello"});
    runner_.answer.payload = "done";
  }

  RunOutcome Run(RunRequest request, std::chrono::milliseconds limit = {}) {
    std::optional<RunOutcome> got;
    execution_->Execute(Uuid(), std::make_shared<ReadyFunction>(function_), request, limit,
                        [&](RunOutcome outcome) { got = std::move(outcome); });
    EXPECT_TRUE(got.has_value());
    return got.value_or(RunOutcome{});
  }

  static RunRequest Input(json::value input) {
    RunRequest request;
    request.input = std::move(input);
    return request;
  }

  void ExpectError(const RunOutcome& outcome, const std::string& type, const std::string& message) {
    ASSERT_TRUE(outcome.error.has_value());
    EXPECT_EQ(outcome.error->type, type);
    EXPECT_NE(outcome.error->message.find(message), std::string::npos) << outcome.error->message;
    EXPECT_TRUE(outcome.payload.is_null());
  }

  ReadyFunction function_;
  ScriptedRunner runner_;
  std::map<std::string, SecretValues> secrets_;
  std::unique_ptr<RunExecution> execution_ = std::make_unique<RunExecution>(
      runner_, [this](const std::string& org, const std::string& name, auto done) {
        EXPECT_EQ(org, "acme");
        if (name == "away") return done(Error{Code::kUnavailable, "no database"});
        auto found = secrets_.find(name);
        if (found == secrets_.end()) return done(Error{Code::kNotFound, "no such secret"});
        done(std::make_shared<const SecretValues>(found->second));
      });
};

TEST_F(RunExecutionTest, GivesTheFunctionItsContext) {
  auto request = Input({{"a", 1}});
  request.event = {{"eventType", "t"}};
  request.http_context = {{"method", "GET"}};
  function_.timeout = std::chrono::seconds(3);
  auto outcome = Run(request, std::chrono::seconds(1));
  EXPECT_FALSE(outcome.error.has_value());
  EXPECT_EQ(outcome.payload, "done");
  ASSERT_EQ(runner_.inputs.size(), 1u);
  EXPECT_EQ(runner_.inputs[0].payload, json::value({{"a", 1}}));
  EXPECT_EQ(json::value(runner_.inputs[0].context),
            json::value({{"event", {{"eventType", "t"}}},
                         {"httpContext", {{"method", "GET"}}},
                         {"secrets", json::object()}}));
  EXPECT_EQ(runner_.inputs[0].timeout, std::chrono::seconds(1));
  Run(request, std::chrono::seconds(9));
  EXPECT_EQ(runner_.inputs[1].timeout, std::chrono::seconds(3));
}

TEST_F(RunExecutionTest, ARunIsASpanAndTheParentOfWhatTheFunctionDoes) {
  testing::SimulatedLoop loop;
  testing::RecordedSpans spans;
  Tracer tracer(loop, spans);
  RunExecution execution(runner_, nullptr, &tracer);
  Uuid run = Uuid::Random();
  auto request = Input(1);
  auto execute = [&] {
    execution.Execute(run, std::make_shared<ReadyFunction>(function_), request, {}, [](auto) {});
  };
  execute();
  request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  execute();
  EXPECT_TRUE(spans.spans.empty());
  EXPECT_EQ(runner_.inputs.back().traceparent, request.traceparent);
  request.traceparent.back() = '1';
  execute();
  Span span = spans.Only("acme.hello run");
  EXPECT_EQ(span.kind, Span::Kind::kInternal);
  EXPECT_EQ(span.parent_id, "b7ad6b7169203331");
  EXPECT_EQ(runner_.inputs.back().traceparent, span.context.ToTraceparent());
  EXPECT_EQ(testing::RecordedSpans::Attribute(span, "faas.invocation_id"), run.ToString());
  EXPECT_FALSE(span.error);
  runner_.answer.error = RunError{kFunctionError, "words of the data", {}};
  execute();
  EXPECT_EQ(spans.spans.back().error, kFunctionError);
}

TEST_F(RunExecutionTest, MergesSecretsFlatTheRunsLast) {
  secrets_ = {{"one", {{"user", "a"}, {"password", "x"}}}, {"two", {{"password", "y"}}}};
  function_.secrets = {"one"};
  auto request = Input(nullptr);
  request.secrets = {"two"};
  Run(request);
  EXPECT_EQ(runner_.inputs[0].context["secrets"], json::value({{"user", "a"}, {"password", "y"}}));
}

TEST_F(RunExecutionTest, AnUnknownSecretIsTheCallersFaultAndAMissingDatabaseOurs) {
  auto request = Input(nullptr);
  request.secrets = {"none"};
  ExpectError(Run(request), "InputError", "secret 'none' does not exist");
  request.secrets = {"away"};
  ExpectError(Run(request), "SystemError", "no database");
  EXPECT_TRUE(runner_.inputs.empty());
}

TEST_F(RunExecutionTest, ChecksInputBeforeAndOutputAfter) {
  function_.schema_in = {{"type", "object"}, {"required", json::array{"name"}}};
  function_.schema_out = {{"type", "string"}};
  auto bad = Input(json::object());
  bad.secrets = {"none"};  // looked up only when the input holds
  ExpectError(Run(bad), "InputError", "input must have the property 'name'");
  EXPECT_TRUE(runner_.inputs.empty());
  EXPECT_FALSE(Run(Input({{"name", "x"}})).error.has_value());
  runner_.answer.payload = 3;
  runner_.answer.out = {"a line"};
  auto outcome = Run(Input({{"name", "x"}}));
  ExpectError(outcome, "FunctionError", "output must be of type string");
  EXPECT_EQ(outcome.out, std::vector<std::string>{"a line"});
}

TEST_F(RunExecutionTest, ASchemaThatIsNoneIsTheFunctionsFault) {
  function_.schema_in = {{"type", "thing"}};
  ExpectError(Run(Input(1)), "FunctionError", "schema.in: the schema is not one: #/type");
}

TEST_F(RunExecutionTest, CallsNobodyAfterItsEnd) {
  runner_.hold = true;
  bool called = false;
  execution_->Execute(Uuid(), std::make_shared<ReadyFunction>(function_), Input(1), {},
                      [&](const RunOutcome&) { called = true; });
  execution_.reset();
  runner_.Answer();
  EXPECT_FALSE(called);
}

TEST(RunTest, IsReadAndShownAsVmwareHasIt) {
  auto read = ReadRunRequest(*json::ParseObject(
      R"({"blocking":true,"input":{"a":1},"reason":null,"secrets":["s"],"services":null,"tags":null})"));
  ASSERT_TRUE(read.ok()) << read.message();
  dispatch::Run run;
  run.function = "hello";
  run.request = *read;
  run.executed_us = 1'000'001;
  RunOutcome outcome;
  outcome.error = RunError{"InputError", "bad", {"line 1"}};
  outcome.err = {"oops"};
  run.Finish(outcome, 2'000'000);
  json::object form = RunForm(run);
  EXPECT_EQ(form["status"], "ERROR");
  EXPECT_EQ(form["reason"], json::value(json::array{"error running function: hello: bad"}));
  EXPECT_EQ(form["error"],
            json::value({{"type", "InputError"}, {"message", "bad"}, {"stacktrace", {"line 1"}}}));
  EXPECT_EQ(form["logs"], json::value({{"stdout", nullptr}, {"stderr", json::array{"oops"}}}));
  EXPECT_EQ(form["executedTime"], 1'000'001'000);
  EXPECT_EQ(form["finishedTime"], 2'000'000'000);
  // What is stored comes back the same.
  dispatch::Run again = run;
  run.request.traceparent = "00-a-b-01";
  again.request = RequestOf(RequestDocument(run.request));
  EXPECT_EQ(again.request.traceparent, run.request.traceparent);
  again.outcome = OutcomeOf(OutcomeDocument(run.outcome));
  EXPECT_EQ(RunForm(again), form);
  EXPECT_EQ(RunFormThatFits(run, true), form);
}

TEST(RunTest, LeavesOutWhatAReplyCannotHold) {
  dispatch::Run run;
  run.request.input = std::string(800'000, '"');  // two bytes each as JSON
  run.request.http_context = {{"args", "a"}};
  run.outcome.payload = "out";
  auto omitted = [&](bool without_output) {
    json::object form = RunFormThatFits(run, without_output);
    EXPECT_TRUE(without_output == false || json::Serialize(form).size() < 1'900'000);
    return json::Serialize(form["omitted"]);
  };
  EXPECT_EQ(omitted(false), R"(["input"])");
  run.outcome.payload = std::string(2'000'000, 'x');
  run.outcome.out = {"line"};
  EXPECT_EQ(omitted(false), R"(["input","httpContext","logs"])");
  EXPECT_EQ(omitted(true), R"(["input","httpContext","logs","output"])");
}

TEST(RunTest, NamesWhatDoesNotHold) {
  auto read = ReadRunRequest(
      *json::ParseObject(R"({"inptu":1,"secrets":[1],"services":["x"],"event":"e"})"));
  ASSERT_FALSE(read.ok());
  std::string fields;
  for (const auto& detail : read.error().details) fields += detail.field + " ";
  for (const char* field : {"inptu", "secrets", "services", "event"}) {
    EXPECT_NE(fields.find(field), std::string::npos) << fields;
  }
}

TEST(FunctionEventTest, MakesARunOfAnEvent) {
  cloudevents::Event event;
  event.attributes = {{"specversion", "1.0"},
                      {"id", "7"},
                      {"source", "/s"},
                      {"type", "t"},
                      {"color", "blue"},
                      {"time", "2026-01-02T03:04:05Z"},
                      {"datacontenttype", "application/json"}};
  event.data = R"({"n":1})";
  RunRequest run = EventRun(event);
  EXPECT_EQ(run.input, json::value({{"n", 1}}));
  EXPECT_EQ(run.event, json::value({{"cloudEventsVersion", "0.1"},
                                    {"eventID", "7"},
                                    {"source", "/s"},
                                    {"eventType", "t"},
                                    {"eventTime", "2026-01-02T03:04:05Z"},
                                    {"contentType", "application/json"},
                                    {"extensions", {{"color", "blue"}}},
                                    {"data", nullptr}}));
  event.Set("datacontenttype", "text/plain");
  EXPECT_EQ(EventRun(event).input, json::value(R"({"n":1})"));
  event.data = "\xff\xfe";
  EXPECT_EQ(EventRun(event).input, json::value("//4="));
  event.data.reset();
  EXPECT_TRUE(EventRun(event).input.is_null());
}

TEST(FunctionEventTest, MapsOutcomesToTheRulesOfRetries) {
  RunOutcome outcome;
  EXPECT_EQ(EffectOf(AnswerOf(outcome)), Effect::kDelivered);
  outcome.error = RunError{"InputError", "bad", {}};
  EXPECT_EQ(EffectOf(AnswerOf(outcome)), Effect::kReject);
  EXPECT_EQ(AnswerOf(outcome).head, "InputError: bad");
  outcome.error->type = "FunctionError";
  EXPECT_EQ(EffectOf(AnswerOf(outcome)), Effect::kRetry);
  outcome.error->type = "SystemError";
  EXPECT_EQ(EffectOf(AnswerOf(outcome)), Effect::kRetry);
  EXPECT_EQ(AnswerOf(outcome).status, 0);
}

TEST(FunctionEventTest, AUrlNamesTheFunction) {
  EXPECT_EQ(FunctionOf(FunctionUrl("acme", "hello-1")), "hello-1");
  EXPECT_EQ(FunctionOf("http://hello.acme"), "");
}

}  // namespace
}  // namespace dispatch::run_execution_test
