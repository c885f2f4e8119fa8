#include "event-manager/src/domain/lost_offsets.h"

#include <gtest/gtest.h>

namespace dispatch::lost_offsets_test {
namespace {

OffsetTracker At(int64_t position, std::vector<std::pair<int64_t, int64_t>> completed) {
  return OffsetTracker::Restore(position, completed, OffsetTracker::Limits{});
}

TEST(LostOffsetsTest, WhatWasCompletedIsNotLost) {
  auto tracker = At(10, {{12, 15}, {20, 30}});
  EXPECT_EQ(NotComplete(tracker, 0, 10), 0);
  EXPECT_EQ(NotComplete(tracker, 0, 12), 2);
  EXPECT_EQ(NotComplete(tracker, 10, 25), 2 + 5);
  EXPECT_EQ(NotComplete(tracker, 13, 22), 5);
  EXPECT_EQ(NotComplete(tracker, 40, 40), 0);
}

TEST(LostOffsetsTest, SkippingKeepsWhatIsCompleteBeyond) {
  auto tracker = SkipTo(At(10, {{12, 15}, {20, 30}}), 13);
  EXPECT_EQ(tracker.Position(), 15);
  EXPECT_EQ(tracker.Completed(), (std::vector<std::pair<int64_t, int64_t>>{{20, 30}}));
  EXPECT_FALSE(tracker.Deliver(14, 1, 1));
  EXPECT_TRUE(tracker.Deliver(15, 1, 1));
  EXPECT_FALSE(tracker.Deliver(22, 1, 1));
  EXPECT_TRUE(tracker.Deliver(30, 1, 1));
  EXPECT_EQ(SkipTo(At(10, {}), 5).Position(), 10);
}

}  // namespace
}  // namespace dispatch::lost_offsets_test
