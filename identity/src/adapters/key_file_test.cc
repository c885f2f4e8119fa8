#include "identity/src/adapters/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace dispatch::identity::key_file_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "identity-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Path() const { return directory_ / "admin.key"; }
  void Write(std::string_view text, mode_t mode) {
    std::ofstream(Path()) << text;
    ASSERT_EQ(chmod(Path().c_str(), mode), 0);
  }
  std::filesystem::path directory_;
};

TEST_F(KeyFile, IsMadeOnceAndForItsOwnerAlone) {
  auto first = EnsureKeyFile(Path());
  ASSERT_TRUE(first.ok()) << first.message();
  struct stat info{};
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::string text;
  std::ifstream(Path()) >> text;
  EXPECT_EQ(text, first->ToString());
  auto second = EnsureKeyFile(Path());
  ASSERT_TRUE(second.ok()) << second.message();
  EXPECT_EQ(second->ToString(), first->ToString());
  // No draft stays behind.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(KeyFile, TakesAKeyThatIsThere) {
  Write(auth::KeyText{"abcdefghijkl", std::string(32, 'x')}.ToString(), 0400);
  auto key = EnsureKeyFile(Path());
  ASSERT_TRUE(key.ok()) << key.message();
  EXPECT_EQ(key->id, "abcdefghijkl");
}

TEST_F(KeyFile, RefusesWhatIsNoKeyOrIsOpenToOthers) {
  Write("precious", 0600);
  auto key = EnsureKeyFile(Path());
  EXPECT_EQ(key.code(), Code::kInvalidArgument);
  EXPECT_THAT(key.message(), HasSubstr("holds no API key"));
  EXPECT_THAT(key.message(), Not(HasSubstr("precious")));
  Write(auth::KeyText::Random().ToString(), 0644);
  EXPECT_THAT(EnsureKeyFile(Path()).message(), HasSubstr("0600"));
}

TEST_F(KeyFile, SaysThatTheDirectoryIsMissing) {
  auto key = EnsureKeyFile(directory_ / "none" / "admin.key");
  EXPECT_EQ(key.code(), Code::kUnavailable);
  EXPECT_THAT(key.message(), HasSubstr("directory must exist"));
}

}  // namespace
}  // namespace dispatch::identity::key_file_test
