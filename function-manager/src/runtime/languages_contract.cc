#include <gmock/gmock.h>

#include "function-manager/src/runtime/testing/runner_fixture.h"

namespace dispatch::runtime::languages_contract {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Languages : public RunnerFixture {};

TEST_F(Languages, PythonAnswersWithPayloadAndLogs) {
  auto version = Python(
      "import sys\n"
      "def handle(ctx, payload):\n"
      "  print('one'); print('two', file=sys.stderr); sys.stdout.write('no end')\n"
      "  return {'sum': sum(payload['of']), 'secrets': ctx.get('secrets')}\n");
  std::optional<RunOutcome> outcome;
  RunInput input{{{"secrets", json::object{{"k", "v"}}}}, json::object{{"of", {1, 2, 3}}}, 10s};
  runner().Run(version, input, [&](RunOutcome o) { outcome = std::move(o); });
  ASSERT_TRUE(loop_.RunUntil([&] { return outcome.has_value(); }, 30s));
  EXPECT_EQ(Failure(*outcome), "");
  EXPECT_EQ(json::Serialize(outcome->payload), R"({"sum":6,"secrets":{"k":"v"}})");
  EXPECT_THAT(outcome->out, ElementsAre("one", "no end"));
  EXPECT_THAT(outcome->err, ElementsAre("two"));
  EXPECT_TRUE(outcome->cold);
  EXPECT_GT(outcome->elapsed.count(), 0);
  RunOutcome second = Run(version, json::object{{"of", json::array{}}});
  EXPECT_FALSE(second.cold);
  EXPECT_THAT(second.out, ElementsAre("one", "no end"));
}

TEST_F(Languages, PythonErrorsAreMappedByTheirTypes) {
  auto version = Python(
      "import sys\n"
      "def handle(ctx, payload):\n"
      "  if payload == 'exit': sys.exit(3)\n"
      "  if payload == 'set': return {1, 2}\n"
      "  if payload == 'nan': return float('nan')\n"
      "  raise {'v': ValueError, 't': TypeError, 'r': RuntimeError}[payload]('because')\n");
  EXPECT_EQ(Failure(Run(version, "v")), "InputError: because");
  EXPECT_EQ(Failure(Run(version, "t")), "InputError: because");
  RunOutcome other = Run(version, "r");
  EXPECT_EQ(Failure(other), "FunctionError: because");
  ASSERT_FALSE(other.error->stacktrace.empty());
  EXPECT_THAT(other.error->stacktrace, testing::Contains(HasSubstr("/function/f.py\", line 6")));
  EXPECT_THAT(other.error->stacktrace, testing::Each(testing::Not(HasSubstr("worker.py"))));
  EXPECT_THAT(Failure(Run(version, "set")),
              HasSubstr("FunctionError: the function's answer is no JSON"));
  EXPECT_THAT(Failure(Run(version, "nan")),
              HasSubstr("FunctionError: the function's answer is no JSON"));
  EXPECT_EQ(Failure(Run(version, "exit")), "FunctionError: the function called exit(3)");
  EXPECT_FALSE(Run(version, "v").cold) << "none of these costs the worker";
}

TEST_F(Languages, ProvePythonNamesWhatIsWrong) {
  EXPECT_TRUE(Prove(Python("def handle(ctx, payload): return 1\n")).ok());
  struct Case {
    const char* text;
    const char* handler;
    const char* words;
  };
  for (const auto& c :
       {Case{"def handle(ctx): pass\n", "f.handle", "takes 1 arguments instead of 2"},
        Case{"def handle(a, b, c): pass\n", "f.handle", "takes 3 arguments"},
        Case{"x = 1\n", "f.x", "f.x is no function"},
        Case{"x = 1\n", "f.handle", "the module f has no function 'handle'"},
        Case{"x = 1\n", "g.handle", "No module named 'g'"},
        Case{"x = 1\n", "handle", "not of the form module.function"},
        Case{"def handle(:\n", "f.handle", "invalid syntax"},
        Case{"raise RuntimeError('at import')\n", "f.handle", "at import"}}) {
    Status status = Prove(Make("python3", "f.py", c.text, c.handler));
    EXPECT_EQ(status.code(), Code::kUnprocessable) << c.words;
    EXPECT_THAT(status.message(), HasSubstr(c.words));
  }
}

TEST_F(Languages, PythonFindsTheHandlerAndTheImagesPackages) {
  auto version =
      Make("python3", "json.py", "import helper\ndef handle(ctx, payload): return helper.word\n");
  version->image = directory_ + "/image";
  std::filesystem::create_directories(version->image + "/lib");
  Write(version->image + "/lib/helper.py", "word = 'helped'\n");
  EXPECT_TRUE(Prove(version).ok()) << "named as a module that the worker uses itself";
  EXPECT_EQ(Run(version).payload, json::value("helped"));
  Write(version->source + "/other.py", "");
  auto two = std::make_shared<FunctionVersion>(*version);
  two->id = Uuid::Random();
  EXPECT_THAT(Prove(two).message(), HasSubstr("has 2 Python files"));
}

TEST_F(Languages, NodeAnswersSyncAndAsync) {
  auto version = Node(
      "module.exports = (context, payload) => {\n"
      "  console.log('out', payload); console.error('err');\n"
      "  if (payload === 'async') return new Promise(r => setTimeout(() => r({a: [1]}), 5));\n"
      "  if (payload === 'nothing') return;\n"
      "  if (payload === 'function') return () => 1;\n"
      "  if (payload === 'circle') { const o = {}; o.o = o; return o; }\n"
      "  if (payload === 'type') throw new TypeError('bad type');\n"
      "  if (payload === 'reject') return Promise.reject(new Error('no'));\n"
      "  if (payload === 'late') return new Promise(() => setTimeout(() => { throw new "
      "Error('late'); }));\n"
      "  if (payload === 'text') throw 'words';\n"
      "  return context.event || payload;\n"
      "};\n");
  RunOutcome outcome = Run(version, 7);
  EXPECT_EQ(Failure(outcome), "");
  EXPECT_EQ(outcome.payload, json::value(7));
  EXPECT_THAT(outcome.out, ElementsAre("out 7"));
  EXPECT_THAT(outcome.err, ElementsAre("err"));
  EXPECT_EQ(json::Serialize(Run(version, "async").payload), R"({"a":[1]})");
  EXPECT_TRUE(Run(version, "nothing").payload.is_null());
  EXPECT_THAT(Failure(Run(version, "function")),
              HasSubstr("FunctionError: the function's answer is no"));
  EXPECT_THAT(Failure(Run(version, "circle")),
              HasSubstr("FunctionError: the function's answer is no"));
  EXPECT_EQ(Failure(Run(version, "type")), "InputError: bad type");
  EXPECT_EQ(Failure(Run(version, "reject")), "FunctionError: no");
  EXPECT_EQ(Failure(Run(version, "late")), "FunctionError: late");
  EXPECT_EQ(Failure(Run(version, "text")), "FunctionError: words");
  EXPECT_FALSE(Run(version, 1).cold);
}

TEST_F(Languages, ProveNodeNamesWhatIsWrong) {
  auto with_module =
      Make("nodejs", "f.js", "const h = require('helper'); module.exports = () => h;\n");
  with_module->image = directory_ + "/image";
  std::filesystem::create_directories(with_module->image + "/node_modules/helper");
  Write(with_module->image + "/node_modules/helper/index.js", "module.exports = 'helped';\n");
  EXPECT_TRUE(Prove(with_module).ok());
  EXPECT_EQ(Run(with_module).payload, json::value("helped"));
  EXPECT_THAT(Prove(Node("module.exports = 1;\n")).message(), HasSubstr("exports no function"));
  EXPECT_THAT(Prove(Node("module.exports = (\n")).message(), HasSubstr("Unexpected"));
  EXPECT_THAT(Prove(Node("require('absent');\n")).message(),
              HasSubstr("Cannot find module 'absent'"));
  auto absent = Make("nodejs", "f.js", "module.exports = () => 1;\n", "./g.js");
  EXPECT_THAT(Prove(absent).message(), HasSubstr("has no file './g.js'"));
  EXPECT_EQ(Prove(Node("process.exit(0)\n")).code(), Code::kUnprocessable);
}

TEST_F(Languages, AnExecutableIsRunForEachRequest) {
  auto version = Make(
      "binary", "run",
      "#!/bin/sh\n"
      "body=$(cat)\n"
      "echo log >&2\n"
      "case $body in\n"
      "*fail*) echo '{\"context\":{\"error\":{\"type\":\"InputError\",\"message\":\"no\"}}}';;\n"
      "*junk*) echo junk;;\n"
      "*code*) exit 4;;\n"
      "*) echo \"{\\\"payload\\\":$body}\";;\n"
      "esac\n");
  EXPECT_TRUE(Prove(version).ok());
  RunOutcome outcome = Run(version, 5);
  EXPECT_EQ(Failure(outcome), "");
  EXPECT_EQ(json::Serialize(outcome.payload), R"({"context":{},"payload":5})");
  EXPECT_THAT(outcome.err, ElementsAre("log"));
  EXPECT_EQ(Failure(Run(version, "fail")), "InputError: no");
  EXPECT_THAT(Failure(Run(version, "junk")),
              HasSubstr("FunctionError: the executable's answer is no JSON"));
  EXPECT_EQ(Failure(Run(version, "code")), "FunctionError: the executable ended with exit code 4");
  EXPECT_THAT(Prove(Make("binary", "run", "", "../x")).message(), HasSubstr("outside the source"));
  EXPECT_THAT(Prove(Make("binary", "run", "", "x")).message(), HasSubstr("no file 'x'"));
}

TEST_F(Languages, OthersAreRefusedWithTheirName) {
  Status status = Prove(Make("cobol", "f", ""));
  EXPECT_EQ(status.code(), Code::kUnprocessable);
  EXPECT_THAT(status.message(), HasSubstr("'cobol'"));
}

class Java : public RunnerFixture {
 protected:
  void SetUp() override {
    if (access(options_.java.c_str(), X_OK) != 0) GTEST_SKIP() << "NO JAVA: not tested";
  }
  auto Source(const std::string& name, const std::string& text, const std::string& handler = "") {
    auto version = Make("java", name + ".java", text, handler);
    version->memory_bytes = 256 * 1024 * 1024;
    return version;
  }
};

TEST_F(Java, HandlersHaveTypedPayloads) {
  auto version = Source("Hello",
                        "import java.util.*;\n"
                        "public class Hello {\n"
                        "  record Person(String name, int age, List<String> tags) {}\n"
                        "  static class Answer { String said; Map<String, Object> secrets; }\n"
                        "  public Answer handle(Map<String, Object> context, Person p) {\n"
                        "    System.out.println(\"one\"); System.err.println(\"two\");\n"
                        "    if (p.age() < 0) throw new IllegalArgumentException(\"age\");\n"
                        "    if (p.age() == 0) throw new IllegalStateException(\"because\");\n"
                        "    Answer a = new Answer();\n"
                        "    a.said = \"Hello, \" + p.name() + p.tags();\n"
                        "    a.secrets = (Map<String, Object>) context.get(\"secrets\");\n"
                        "    return a;\n"
                        "  }\n"
                        "}\n");
  ASSERT_TRUE(Prove(version).ok()) << Prove(version).message();
  std::optional<RunOutcome> outcome;
  RunInput input{{{"secrets", json::object{{"k", "v"}}}},
                 json::object{{"name", "Zo\xc3\xab"}, {"age", 3}, {"tags", {"a", "b"}}},
                 10s};
  runner().Run(version, input, [&](RunOutcome o) { outcome = std::move(o); });
  ASSERT_TRUE(loop_.RunUntil([&] { return outcome.has_value(); }, 30s));
  EXPECT_EQ(Failure(*outcome), "");
  EXPECT_EQ(json::Serialize(outcome->payload),
            "{\"said\":\"Hello, Zo\xc3\xab[a, b]\",\"secrets\":{\"k\":\"v\"}}");
  EXPECT_THAT(outcome->out, ElementsAre("one"));
  EXPECT_THAT(outcome->err, ElementsAre("two"));
  json::object person{{"name", "x"}, {"age", -1}, {"tags", nullptr}};
  EXPECT_EQ(Failure(Run(version, person)), "InputError: age");
  person["age"] = 0;
  RunOutcome other = Run(version, person);
  EXPECT_EQ(Failure(other), "FunctionError: because");
  EXPECT_THAT(other.error->stacktrace, testing::Contains(HasSubstr("Hello.java:8")));
  EXPECT_THAT(other.error->stacktrace, testing::Each(testing::Not(HasSubstr("Worker"))));
  person["age"] = "old";
  EXPECT_EQ(Failure(Run(version, person)), "InputError: payload.age: a text where int is expected");
  EXPECT_EQ(Failure(Run(version, json::array{1})),
            "InputError: payload: an array where Person is expected");
  EXPECT_FALSE(Run(version, person).cold) << "none of these costs the worker";
}

TEST_F(Java, HandlersAreClassesAndMethods) {
  const char* text =
      "package a.b;\n"
      "import java.util.*;\n"
      "public class Two {\n"
      "  public static Object first(Map<?, ?> c, Object p) { return p; }\n"
      "  public int second(Map<?, ?> c, int[] p) { return p.length; }\n"
      "}\n";
  json::array three{1, 2.5, nullptr};
  EXPECT_EQ(Run(Source("Two", text, "a.b.Two::first"), three).payload, three);
  EXPECT_EQ(Run(Source("Two", text, "a.b.Two::second"), json::array{1, 2}).payload, json::value(2));
  EXPECT_THAT(Prove(Source("Two", text, "a.b.Two")).message(),
              HasSubstr("handle(context, payload)"));
  EXPECT_THAT(Prove(Source("Two", text)).message(), HasSubstr("0 classes"));
  EXPECT_THAT(Prove(Source("Two", text, "Three")).message(), HasSubstr("no class 'Three'"));
  EXPECT_THAT(Prove(Source("Bad", "class Bad { int x = \"\"; }")).message(),
              HasSubstr("it does not compile"));
}

TEST_F(Java, HostileOnesAreContained) {
  auto version = Source("Bomb",
                        "import java.util.*;\n"
                        "public class Bomb {\n"
                        "  public Object handle(Map<?, ?> c, String p) throws Exception {\n"
                        "    if (p.equals(\"loop\")) for (;;);\n"
                        "    if (p.equals(\"exit\")) System.exit(7);\n"
                        "    if (p.equals(\"env\")) return System.getenv().keySet().size();\n"
                        "    if (p.equals(\"circle\")) { List<Object> l = new ArrayList<>(); "
                        "l.add(l); return l; }\n"
                        "    List<byte[]> all = new ArrayList<>();\n"
                        "    while (p.equals(\"memory\")) all.add(new byte[1000000]);\n"
                        "    return 1;\n"
                        "  }\n"
                        "}\n");
  EXPECT_EQ(Run(version, "").payload, json::value(1));
  EXPECT_EQ(Failure(Run(version, "loop", 300ms)),
            "FunctionError: Function execution exceeded the timeout");
  EXPECT_EQ(Failure(Run(version, "exit")),
            "FunctionError: The function's process ended (exit code 7) before it answered");
  EXPECT_THAT(Failure(Run(version, "memory")), HasSubstr("FunctionError: The function"));
  EXPECT_THAT(Failure(Run(version, "circle")), HasSubstr("no JSON"));
}

class Powershell : public RunnerFixture {
 protected:
  void SetUp() override {
    if (access(options_.pwsh.c_str(), X_OK) != 0) GTEST_SKIP() << "NO PWSH: not tested";
  }
};

TEST_F(Powershell, RunsAFunctionOfAFile) {
  auto version = Make("powershell", "hello.ps1",
                      "function handle($context, $payload) {\n"
                      "  if (-not $payload.name) {\n"
                      "    throw [System.ArgumentException]::new('name is empty')\n"
                      "  }\n"
                      "  if ($payload.name -eq 'bad') { throw 'because' }\n"
                      "  Write-Host \"greeting $($payload.name)\"\n"
                      "  return @{ hello = $payload.name; secret = $context.secrets.k }\n"
                      "}\n",
                      "hello.ps1::handle");
  ASSERT_TRUE(Prove(version).ok()) << Prove(version).message();
  RunOutcome good = Run(version, json::object{{"name", "Jon"}});
  EXPECT_EQ(Failure(good), "");
  EXPECT_EQ(json::GetString(good.payload.as_object(), "hello"), "Jon");
  EXPECT_THAT(good.out, ElementsAre("greeting Jon"));
  EXPECT_EQ(Failure(Run(version, json::object{})), "InputError: name is empty");
  EXPECT_EQ(Failure(Run(version, json::object{{"name", "bad"}})), "FunctionError: because");
  EXPECT_FALSE(Run(version, json::object{{"name", "x"}}).cold);
}

TEST_F(Powershell, SaysWhatIsWrongWithAHandler) {
  const char* text = "function one($a) { 1 }\nfunction two($a, $b) { 2 }\n";
  EXPECT_THAT(Prove(Make("powershell", "x.ps1", text, "x.ps1::three")).message(),
              HasSubstr("no function 'three'"));
  EXPECT_THAT(Prove(Make("powershell", "x.ps1", text, "x.ps1::one")).message(),
              HasSubstr("takes 1 arguments instead of 2"));
  EXPECT_THAT(Prove(Make("powershell", "x.ps1", text, "y.ps1::two")).message(),
              HasSubstr("no file 'y.ps1'"));
}

}  // namespace
}  // namespace dispatch::runtime::languages_contract
