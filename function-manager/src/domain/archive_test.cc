#include "function-manager/src/domain/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "function-manager/src/domain/testing/archives.h"

namespace dispatch {
namespace {

using testing::Gzip;
using ::testing::HasSubstr;
using testing::Header;
using testing::Padded;

std::string FaultOf(const std::string& tar, const ArchiveLimits& limits = {}) {
  auto read = ReadArchive(Gzip(tar), limits);
  return read.ok() ? "" : read.message();
}

TEST(Archive, ReadsWhatIsNeverClosed) {
  auto read =
      ReadArchive(Gzip(Header("./sub/", 0, '5', 0755) + Header(".//sub/run.sh", 3, '0', 0755) +
                       Padded("abc") + Header("./hello.py", 5) + "hello"));
  ASSERT_TRUE(read.ok()) << read.message();
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[0].path, "sub");
  EXPECT_TRUE((*read)[0].directory);
  EXPECT_EQ((*read)[1].path, "sub/run.sh");
  EXPECT_TRUE((*read)[1].executable);
  EXPECT_EQ((*read)[2].path, "hello.py");
  EXPECT_EQ((*read)[2].bytes, "hello");
  EXPECT_FALSE((*read)[2].executable);
}

TEST(Archive, ReadsWhatIsClosedAndPadded) {
  auto read = ReadArchive(Gzip(Header("a", 1) + Padded("x") + std::string(10240, '\0')));
  ASSERT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(read->size(), 1u);
}

TEST(Archive, ReadsLongNames) {
  std::string name = std::string(90, 'd') + "/" + std::string(90, 'f');
  std::string record = fmt::format("{} path={}\n", 5 + name.size() + 5, name);
  ASSERT_EQ(std::to_string(record.size()), record.substr(0, record.find(' ')));
  for (const std::string& tar :
       {Header("././@LongLink", name.size() + 1, 'L') + Padded(name + '\0') + Header("d", 1) + "x",
        Header("pax", record.size(), 'x') + Padded(record) + Header("d", 1) + "x"}) {
    auto read = ReadArchive(Gzip(tar));
    ASSERT_TRUE(read.ok()) << read.message();
    EXPECT_EQ((*read)[0].path, name);
  }
}

TEST(Archive, RefusesWhatLeadsOut) {
  EXPECT_THAT(FaultOf(Header("/etc/passwd", 1) + "x"), HasSubstr("absolute path"));
  EXPECT_THAT(FaultOf(Header("./../x", 1) + "x"), HasSubstr("leads out"));
  EXPECT_THAT(FaultOf(Header("a/../../x", 1) + "x"), HasSubstr("leads out"));
  EXPECT_THAT(FaultOf(Header("link", 0, '2')), HasSubstr("neither a file nor a directory"));
  EXPECT_THAT(FaultOf(Header("hard", 0, '1')), HasSubstr("neither a file nor a directory"));
  EXPECT_THAT(FaultOf(Header("device", 0, '3')), HasSubstr("neither a file nor a directory"));
  EXPECT_THAT(FaultOf(Header("a\nb", 1) + "x"), HasSubstr("control characters"));
  EXPECT_THAT(FaultOf(Header("a", 1) + Padded("x") + Header("./a", 1) + "y"), HasSubstr("twice"));
  EXPECT_THAT(FaultOf(Header("a", 1) + Padded("x") + Header("a/b", 1) + "y"),
              HasSubstr("as a file and as a directory"));
}

TEST(Archive, RefusesBombs) {
  ArchiveLimits limits;
  limits.bytes = 4096;
  limits.members = 3;
  std::string many;
  for (int i = 0; i < 4; ++i) many += Header(fmt::format("f{}", i), 0);
  EXPECT_THAT(FaultOf(many, limits), HasSubstr("more than 3 members"));
  EXPECT_THAT(FaultOf(Header("big", 5000) + std::string(5000, 'x'), limits),
              HasSubstr("more than 4096 bytes"));
  EXPECT_THAT(FaultOf(Header("big", 50'000'000) + std::string(50'000'000, 'x')),
              HasSubstr("unpacks to more than"));
  EXPECT_THAT(
      FaultOf(Header(
          std::string(20 * 3, 'x').replace(0, 40, "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"), 0)),
      HasSubstr("deep"));
}

TEST(Archive, RefusesWhatIsDamaged) {
  EXPECT_THAT(ReadArchive("no gzip").message(), HasSubstr("no gzip data"));
  EXPECT_THAT(ReadArchive("").message(), HasSubstr("no gzip data"));
  std::string whole = Gzip(Header("a", 1) + "x");
  EXPECT_THAT(ReadArchive(whole.substr(0, whole.size() - 9)).message(), HasSubstr("no gzip data"));
  EXPECT_THAT(FaultOf(""), HasSubstr("holds no file"));
  EXPECT_THAT(FaultOf(Header("d/", 0, '5')), HasSubstr("holds no file"));
  EXPECT_THAT(FaultOf(std::string(600, 'x')), HasSubstr("no tar archive"));
  EXPECT_THAT(FaultOf(Header("a", 100) + "short"), HasSubstr("cut off in a file"));
  EXPECT_THAT(FaultOf(Header("a", 1) + Padded("x") + Header("b", 1).substr(0, 300)),
              HasSubstr("cut off in a header"));
}

}  // namespace
}  // namespace dispatch
