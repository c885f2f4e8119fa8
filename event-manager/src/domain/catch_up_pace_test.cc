#include "event-manager/src/domain/catch_up_pace.h"

#include <gtest/gtest.h>

#include <functional>

namespace dispatch::catch_up_pace_test {
namespace {

using std::chrono::milliseconds;

/// Live records at 500/s and lagging readers that always want more, 10 ms a step.
class CatchUpPaceTest : public ::testing::Test {
 protected:
  /// Runs for so long; a live record is as old as `age_ms` says of the lagging readers' rate.
  /// Answers what they took, a second.
  double Run(milliseconds span, const std::function<int64_t(double)>& age_ms, int live = 5) {
    int64_t taken = 0;
    double rate = 0;
    for (milliseconds t{0}; t < span; t += kStep) {
      int step = 0;
      while (step < kWanted && pace_.open(now_)) {
        pace_.Take();
        ++step;
      }
      if (step < kWanted) pace_.Refuse();
      rate += (step * 100 - rate) * 0.1;
      for (int i = 0; i < live; ++i) pace_.Live(now_, age_ms(rate));
      taken += step;
      now_ += kStep;
    }
    return static_cast<double>(taken) * 1000 / static_cast<double>(span.count());
  }

  static constexpr milliseconds kStep{10};
  static constexpr int kWanted = 200;  // 20,000 records a second
  SteadyTime now_ = SteadyTime{} + std::chrono::hours(1);
  CatchUpPace pace_{{}};
};

TEST_F(CatchUpPaceTest, HasNoLimitWhileLiveRecordsComeInTime) {
  EXPECT_NEAR(Run(milliseconds(3'000), [](double) { return 2; }), 20'000, 1);
  EXPECT_FALSE(pace_.rate());
}

TEST_F(CatchUpPaceTest, HasNoLimitWithoutLiveRecords) {
  Run(milliseconds(1'000), [](double) { return 2; });
  Run(milliseconds(1'000), [](double) { return 100; });
  ASSERT_TRUE(pace_.rate());
  Run(milliseconds(2'100), [](double) { return 0; }, 0);
  EXPECT_FALSE(pace_.rate());
}

TEST_F(CatchUpPaceTest, TakesWhatLiveOnesLeave) {
  auto crowded = [](double rate) { return rate > 8'000 ? 40 : 2; };
  Run(milliseconds(1'000), [](double) { return 2; });
  Run(milliseconds(5'000), crowded);
  double rate = Run(milliseconds(10'000), crowded);
  EXPECT_GT(rate, 5'000);
  EXPECT_LT(rate, 8'500);
  // There is more room now.
  Run(milliseconds(5'000), [](double) { return 3; });
  EXPECT_NEAR(Run(milliseconds(1'000), [](double) { return 3; }), 20'000, 200);
}

TEST_F(CatchUpPaceTest, ClocksThatDifferChangeNothing) {
  for (int64_t skew : {-60'000, 60'000}) {
    pace_ = CatchUpPace({});
    auto crowded = [&](double rate) { return skew + (rate > 8'000 ? 40 : 2); };
    Run(milliseconds(1'000), [&](double) { return skew + 2; });
    Run(milliseconds(5'000), crowded);
    EXPECT_LT(Run(milliseconds(5'000), crowded), 8'500);
  }
}

TEST_F(CatchUpPaceTest, NeverStopsThem) {
  Run(milliseconds(1'000), [](double) { return 2; });
  Run(milliseconds(5'000), [](double) { return 500; });
  EXPECT_NEAR(Run(milliseconds(1'000), [](double) { return 500; }), 1'000, 100);
  // A quarter of what is live at the least.
  Run(milliseconds(5'000), [](double) { return 500; }, 100);
  EXPECT_NEAR(Run(milliseconds(1'000), [](double) { return 500; }, 100), 2'500, 200);
}

TEST_F(CatchUpPaceTest, AZeroBoundIsNone) {
  pace_ = CatchUpPace({.lateness = milliseconds(0)});
  Run(milliseconds(1'000), [](double) { return 2; });
  EXPECT_NEAR(Run(milliseconds(3'000), [](double) { return 500; }), 20'000, 1);
}

}  // namespace
}  // namespace dispatch::catch_up_pace_test
