#include "common/container/registry_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/crypto.h"
#include "common/json.h"

namespace dispatch::container::registry_auth_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What the engine reads of the header.
std::string Told(const std::string& config, const std::string& reference) {
  auto header = RegistryAuth(config, reference);
  if (!header.ok()) return header.message();
  EXPECT_EQ(header->size() % 4, 0u);
  while (header->ends_with('=')) header->pop_back();
  return *crypto::Base64UrlDecode(*header);
}

const std::string kConfig = R"({"auths": {
  "registry.example:5000": {"auth": ")" +
                            crypto::Base64Encode("jon:a:b?>") + R"("},
  "https://index.docker.io/v1/": {"username": "hub", "password": "p"},
  "token.example": {"identitytoken": "t"},
  "helper.example": {}, "odd.example": {"auth": "!"}}})";

TEST(RegistryAuth, IsThatOfTheImagesRegistry) {
  EXPECT_EQ(Told(kConfig, "registry.example:5000/team/x:1"),
            R"({"username":"jon","password":"a:b?>","serveraddress":"registry.example:5000"})");
  for (const char* image : {"acme/x:1", "x", "docker.io/acme/x", "index.docker.io/acme/x"}) {
    EXPECT_EQ(Told(kConfig, image), R"({"username":"hub","password":"p",)"
                                    R"("serveraddress":"https://index.docker.io/v1/"})")
        << image;
  }
  EXPECT_EQ(Told(kConfig, "token.example/x@sha256:00"),
            R"({"identitytoken":"t","serveraddress":"token.example"})");
  // Another port is another registry.
  for (const char* image : {"registry.example/x", "localhost/x", "registry.example:5001/x"}) {
    EXPECT_EQ(Told(kConfig, image), "") << image;
  }
}

TEST(RegistryAuth, SaysWhatIsWrongAndNoCredential) {
  EXPECT_THAT(Told("x", "a/b"), HasSubstr("must be JSON"));
  EXPECT_THAT(Told("{}", "a/b"), HasSubstr("`auths`"));
  EXPECT_THAT(Told(kConfig, "helper.example/x"), HasSubstr("credsStore"));
  EXPECT_THAT(Told(kConfig, "odd.example/x"), HasSubstr("base64 of user:password"));
  EXPECT_THAT(Told(R"({"auths": {"r.example": {"auth": "c2VjcmV0"}}})", "r.example/x"),
              Not(HasSubstr("c2VjcmV0")));
}

TEST(RegistryAuth, OfAFileThatOnlyItsOwnerReads) {
  EXPECT_EQ(RegistryAuthOfFile("", "acme/x").value(), "");
  EXPECT_THAT(RegistryAuthOfFile("/none", "acme/x").message(), HasSubstr("cannot read /none"));
  auto path = std::filesystem::temp_directory_path() /
              ("dispatch-registry-" + crypto::RandomAlphanumeric(12));
  std::ofstream(path) << kConfig;
  chmod(path.c_str(), 0644);
  EXPECT_THAT(RegistryAuthOfFile(path, "acme/x").message(), HasSubstr("chmod 0600"));
  chmod(path.c_str(), 0600);
  EXPECT_EQ(RegistryAuthOfFile(path, "acme/x").value(), RegistryAuth(kConfig, "acme/x").value());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace dispatch::container::registry_auth_test
