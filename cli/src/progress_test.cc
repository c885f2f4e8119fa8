#include "cli/src/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace dispatch::cli::progress_test {
namespace {

TEST(ProgressLine, HasABarWhenTheWholeIsKnown) {
  EXPECT_EQ(ProgressText(0.5, 1000, 2),
            "[===============               ]  50%  1000 events, 500/s, 2 s left");
  EXPECT_EQ(ProgressText(0, 0, 0), "[                              ]   0%  0 events, 0/s");
  EXPECT_EQ(ProgressText(1.2, 10, 1),
            "[==============================] 100%  10 events, 10/s, 0 s left");
  EXPECT_EQ(ProgressText(-1, 1000, 2), "1000 events, 500/s");
}

TEST(ProgressLine, IsForTerminalsAndForWhatIsLong) {
  std::ostringstream err;
  {
    Progress file(err, false);
    Progress brief(err, true);
    file.Show(0.5, 1);
    brief.Show(0.5, 1);
  }
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace dispatch::cli::progress_test
