#include "cli/src/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::cli::arguments_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<Flag> kFlags = {{.name = "output", .value = "FORM", .help = "", .letter = 'o'},
                                  {.name = "count", .value = "N", .help = ""},
                                  {.name = "paused", .help = ""},
                                  {.name = "tag", .value = "K=V", .help = "", .repeatable = true}};

Result<Arguments> Parse(std::vector<std::string> words) { return Arguments::Parse(words, kFlags); }

TEST(Arguments, FlagsStandAnywhere) {
  auto a = Parse({"-o", "json", "get", "--paused", "topic", "--count=7", "x"});
  ASSERT_TRUE(a.ok()) << a.message();
  EXPECT_THAT(a->positionals(), ElementsAre("get", "topic", "x"));
  EXPECT_EQ(a->Value("output"), "json");
  EXPECT_TRUE(a->Has("paused"));
  EXPECT_EQ(a->Int("count", 1, 10).value(), 7);
  EXPECT_THAT(a->given(), ElementsAre("output", "paused", "count"));
}

TEST(Arguments, ValuesMayBeJoinedRepeatedOrLookLikeFlags) {
  auto a = Parse({"-ojson", "--tag", "a=1", "--tag=b=--2", "-", "--", "--paused"});
  ASSERT_TRUE(a.ok()) << a.message();
  EXPECT_EQ(a->Value("output"), "json");
  EXPECT_THAT(a->All("tag"), ElementsAre("a=1", "b=--2"));
  EXPECT_THAT(a->positionals(), ElementsAre("-", "--paused"));
  EXPECT_FALSE(a->Has("paused"));
}

TEST(Arguments, SaysWhatIsWrong) {
  EXPECT_THAT(Parse({"--outptu", "x"}).message(), HasSubstr("did you mean --output"));
  EXPECT_THAT(Parse({"-x"}).message(), HasSubstr("unknown flag -x"));
  EXPECT_THAT(Parse({"--count"}).message(), HasSubstr("--count needs a value"));
  EXPECT_THAT(Parse({"--paused=yes"}).message(), HasSubstr("takes no value"));
  EXPECT_THAT(Parse({"--count", "1", "--count", "2"}).message(), HasSubstr("given twice"));
  EXPECT_TRUE(IsUsageError(Parse({"--nope"}).error()));
}

TEST(Arguments, NumbersHaveBounds) {
  for (const char* text : {"0", "11", "x", "1.5", "", "99999999999999999999"}) {
    auto a = Parse({"--count", text});
    ASSERT_TRUE(a.ok());
    EXPECT_FALSE(a->Int("count", 1, 10).ok()) << text;
  }
  EXPECT_FALSE(Parse({})->Int("count", 1, 10).value().has_value());
}

TEST(Arguments, CountsWords) {
  auto a = Parse({"one", "two"});
  EXPECT_TRUE(CheckCount(*a, 1, 2, "a name").ok());
  EXPECT_THAT(CheckCount(*a, 3, 3, "a name").message(), HasSubstr("a name is missing"));
  EXPECT_THAT(CheckCount(*a, 0, 1, "a name").message(), HasSubstr("'two'"));
}

}  // namespace
}  // namespace dispatch::cli::arguments_test
