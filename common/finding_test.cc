#include "common/finding.h"

#include <gtest/gtest.h>

namespace dispatch::finding_test {
namespace {

using Level = Finding::Level;

TEST(Finding, ClocksAreComparedWithTheTimeOfTheQuestion) {
  EXPECT_EQ(ClockSkew(1'050, 1'000, 1'100), 0);
  EXPECT_EQ(ClockSkew(900, 1'000, 1'100), -100);
  EXPECT_EQ(ClockSkew(7'100, 1'000, 1'100), 6'000);
  EXPECT_EQ(JudgeClocks("clock", "it", 999).level, Level::kOk);
  EXPECT_EQ(JudgeClocks("clock", "it", -1'000).level, Level::kWarning);
  Finding far = JudgeClocks("clock", "it", -6'000);
  EXPECT_EQ(far.level, Level::kFailure);
  EXPECT_EQ(far.text, "it is 6.0 s behind");
  EXPECT_FALSE(far.remedy.empty());
}

TEST(Finding, FormHasARemedyOnlyWhereThereIsOne) {
  Finding good{Level::kOk, "area.what", "fine", {}};
  EXPECT_EQ(json::Serialize(FindingForm(good, "identity")),
            R"({"service":"identity","check":"area.what","level":"ok","text":"fine"})");
  Finding bad{Level::kFailure, "area.what", "broken", "mend it"};
  EXPECT_EQ(json::GetString(FindingForm(bad, "identity"), "remedy"), "mend it");
}

TEST(Finding, SpaceOfADirectoryThatIsNotThereIsNoFault) {
  EXPECT_EQ(JudgeFreeSpace("disk", "it", "/nowhere/at/all").level, Level::kOk);
}

}  // namespace
}  // namespace dispatch::finding_test
