#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/src/testing/verbs_test_base.h"
#include "common/crypto.h"

namespace dispatch::cli::function_verbs_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FunctionVerbs : public testing::VerbsTest {};

TEST_F(FunctionVerbs, CreatesWhatFunctionsNeed) {
  m.Answer(201, R"({"name": "python3-base"})");
  ASSERT_EQ(m.Run({"create", "base-image", "python3-base", "x/python3:1", "--language", "python3"}),
            0)
      << m.err;
  EXPECT_EQ(m.out, "Created base image: python3-base\n");
  EXPECT_EQ(Sent(), R"(POST /v1/baseimage {"name":"python3-base","dockerUrl":"x/python3:1",)"
                    R"("language":"python3"})");
  m.Write("requirements.txt", "idna\n");
  m.Answer(201, R"({"name": "web"})");
  ASSERT_EQ(m.Run({"create", "image", "web", "python3-base", "--runtime-deps",
                   m.directory / "requirements.txt", "-a", "shop"}),
            0)
      << m.err;
  EXPECT_EQ(m.out, "Created image: web\n");
  EXPECT_EQ(Sent(1), R"(POST /v1/image {"name":"web","baseImageName":"python3-base",)"
                     R"("runtimeDependencies":{"manifest":"idna\n"},)"
                     R"("tags":[{"key":"Application","value":"shop"}]})");
  EXPECT_EQ(m.Run({"create", "image", "web"}), 2);
  EXPECT_THAT(m.err, HasSubstr("BASE_IMAGE"));
}

TEST_F(FunctionVerbs, TakesVmwaresFlags) {
  m.Answer(201, R"({"name": "p"})");
  ASSERT_EQ(m.Run({"iam", "create", "policy", "p", "-s", "a,b", "-a", "get", "-r", "*"}), 0)
      << m.err;
  EXPECT_EQ(Sent(), R"(POST /v1/iam/policy {"name":"p","rules":[{"subjects":["a","b"],)"
                    R"("actions":["get"],"resources":["*"]}]})");
  m.Answer(200, R"([{"name": "p", "rules": []}])");
  ASSERT_EQ(m.Run({"iam", "get", "policy", "-w"}), 0) << m.err;
  const std::string apis = R"([{"name": "a", "function": "f"}, {"name": "b", "function": "g"}])";
  for (const char* flag : {"-f", "--func"}) {
    m.Answer(200, apis);
    ASSERT_EQ(m.Run({"--json", "get", "api", flag, "g"}), 0) << m.err;
    EXPECT_EQ(json::Parse(m.out)->as_array().size(), 1u) << m.out;
    EXPECT_THAT(m.out, HasSubstr(R"("name": "b")"));
  }
  m.Answer(200, "[]");
  ASSERT_EQ(m.Run({"get", "functions", "--json"}), 0) << m.err;
  EXPECT_EQ(m.out, "[]\n");
  ASSERT_EQ(m.Run({"help", "get"}), 0);
  EXPECT_THAT(m.out, Not(HasSubstr("--json")));
  m.requests.clear();
  m.Answer(200, R"({"name": "r", "status": "READY", "outputBytes": "e30="})");
  ASSERT_EQ(m.Run({"exec", "f", "-a", "text/plain"}), 0) << m.err;
  EXPECT_THAT(m.requests[0].body, HasSubstr(R"("Accept":"text/plain")"));
  EXPECT_THAT(m.requests[0].body, Not(HasSubstr("Application")));
}

TEST_F(FunctionVerbs, TakesFilesFromAUrl) {
  const std::string url = "https://example.com/objects.yaml";
  m.pages[url] = "kind: Secret\nname: s\nsecrets:\n  k: v\n";
  m.Answer(201, R"({"name": "s"})");
  ASSERT_EQ(m.Run({"create", "-f", url}), 0) << m.err;
  EXPECT_EQ(Sent(), R"(POST /v1/secret {"name":"s","secrets":{"k":"v"}})");
  m.Answer(204, "");
  ASSERT_EQ(m.Run({"delete", "-f", url, "-w", "/x"}), 0) << m.err;
  EXPECT_EQ(Sent(1), "DELETE /v1/secret/s");
  EXPECT_EQ(m.Run({"apply", "-f", "https://example.com/none.yaml"}), 1);
  EXPECT_THAT(m.err, HasSubstr("cannot read https://example.com/none.yaml"));
}

TEST_F(FunctionVerbs, CreatesAFunctionOfFiles) {
  m.Write("src/hello.py", "def handle(ctx, payload): return 1\n");
  m.Write("in.json", R"({"type": "object"})");
  m.Answer(201, R"({"name": "hello"})");
  ASSERT_EQ(m.Run({"create", "function", "hello", m.directory / "src", "--image", "python3",
                   "--handler", "hello.handle", "--schema-in", m.directory / "in.json", "--secret",
                   "a", "--secret", "b", "--timeout", "500", "--memory", "64Mi"}),
            0)
      << m.err;
  EXPECT_EQ(m.out, "Created function: hello\n");
  auto body = json::ParseObject(m.requests.back().body);
  ASSERT_TRUE(body.ok());
  std::string source = json::GetString(*body, "source");
  auto packed = crypto::Base64Decode(source);
  ASSERT_TRUE(packed.ok());
  EXPECT_TRUE(packed->starts_with("\x1f\x8b"));
  body->stable_erase("source");
  EXPECT_EQ(json::Serialize(*body),
            R"({"name":"hello","image":"python3","handler":"hello.handle",)"
            R"("schema":{"in":{"type":"object"}},"secrets":["a","b"],"timeout":500,)"
            R"("limits":{"memory":"64Mi"}})");
  // The same files are the same bytes.
  m.Write("src/hello.py", "def handle(ctx, payload): return 1\n");
  ASSERT_EQ(m.Run({"create", "function", "hello", m.directory / "src", "--image", "python3"}), 0);
  EXPECT_THAT(m.requests.back().body, HasSubstr(source));
  EXPECT_EQ(m.Run({"create", "function", "hello", m.directory / "none", "--image", "x"}), 1);
  std::filesystem::create_symlink("/etc/passwd", m.directory / "src" / "link");
  EXPECT_EQ(m.Run({"create", "function", "hello", m.directory / "src", "--image", "x"}), 2);
  EXPECT_THAT(m.err, HasSubstr("neither a file nor a directory"));
}

TEST_F(FunctionVerbs, DocumentsNameFilesAsVmwaresDo) {
  m.Write("deploy/requirements.txt", "idna\n");
  m.Write("deploy/hello.py", "x");
  m.Write("deploy/all.yaml",
          "kind: Image\nname: web\nbaseImageName: b\nruntimeDependencies:\n"
          "  manifest: '@requirements.txt'\n---\n"
          "kind: Function\nname: hello\nimage: web\nsourcePath: hello.py\n");
  m.Answer(201, R"({"name": "web"})");
  m.Answer(201, R"({"name": "hello"})");
  ASSERT_EQ(m.Run({"create", "-f", m.directory / "deploy" / "all.yaml"}), 0) << m.err;
  EXPECT_EQ(m.out, "Created Image: web\nCreated Function: hello\n");
  ASSERT_EQ(m.requests.size(), 2u);
  EXPECT_THAT(m.requests[0].body, HasSubstr(R"("manifest":"idna\n")"));
  EXPECT_THAT(m.requests[1].body, HasSubstr(R"("source":"H4sI)"));
  EXPECT_THAT(m.requests[1].body, Not(HasSubstr("sourcePath")));
  ASSERT_EQ(m.Run({"delete", "-f", m.directory / "deploy" / "all.yaml"}), 0) << m.err;
  EXPECT_EQ(m.out, "Deleted Function: hello\nDeleted Image: web\n");
  EXPECT_EQ(m.Run({"create", "-f", m.directory / "deploy" / "all.yaml", "-w", "/nowhere"}), 0);
}

TEST_F(FunctionVerbs, SeedImagesAreFourAndFour) {
  for (const char* name : {"nodejs-base", "python3-base", "powershell-base", "java-base", "nodejs",
                           "python3", "powershell", "java"}) {
    m.Answer(201, json::Serialize(json::object{{"name", name}}));
  }
  ASSERT_EQ(m.Run({"create", "seed-images"}), 0) << m.err;
  EXPECT_THAT(m.out,
              StartsWith("Created BaseImage: nodejs-base\nCreated BaseImage: python3-base\n"));
  EXPECT_THAT(m.out, HasSubstr("Created Image: java\n"));
  EXPECT_EQ(m.requests.size(), 8u);
  ASSERT_EQ(m.Run({"create", "seed-images", "-O", m.directory / "seed.yaml"}), 0);
  EXPECT_EQ(m.requests.size(), 8u);
  ASSERT_EQ(m.Run({"delete", "-f", m.directory / "seed.yaml"}), 0);
  EXPECT_THAT(m.out, StartsWith("Deleted Image: java\n"));
}

}  // namespace
}  // namespace dispatch::cli::function_verbs_test
