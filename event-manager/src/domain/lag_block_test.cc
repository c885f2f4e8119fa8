#include "event-manager/src/domain/lag_block.h"

#include <gtest/gtest.h>

namespace dispatch::lag_block_test {
namespace {

constexpr int64_t kBegun = 1'800'000'000'000;
constexpr int64_t kMinute = 60'000;

LagPoint At(int64_t second, int64_t waiting, int64_t settled, std::vector<int64_t> unread = {}) {
  return {kBegun + second * 1'000, waiting, waiting / 10, settled, std::move(unread)};
}

TEST(LagBlockTest, WhatIsPackedIsUnpacked) {
  const std::vector<std::vector<LagPoint>> cases{
      {},
      {At(0, 0, 0)},
      {At(3, 100, 70'000, {100, 0}), At(13, 97, 70'040, {97, 0}), At(23, 0, 70'137, {0, 0})},
      {At(0, 5, 1'000'000'000'000, {3, 2}), At(10, 1'000'000'000'000, 0, {0, 4})},
  };
  for (const auto& points : cases) {
    auto unpacked = UnpackLag(kBegun, PackLag(kBegun, points));
    ASSERT_TRUE(unpacked.ok()) << unpacked.message();
    EXPECT_EQ(*unpacked, points);
  }
}

TEST(LagBlockTest, PartitionsThatCameLaterHadNothing) {
  auto unpacked = UnpackLag(kBegun, PackLag(kBegun, {At(0, 5, 0, {5}), At(10, 7, 0, {5, 2})}));
  ASSERT_TRUE(unpacked.ok());
  EXPECT_EQ((*unpacked)[0].unread, (std::vector<int64_t>{5, 0}));
  EXPECT_EQ((*unpacked)[1].unread, (std::vector<int64_t>{5, 2}));
}

// docs/capacity.md says so.
TEST(LagBlockTest, AQuietMinuteIsSmall) {
  std::vector<LagPoint> quiet;
  std::vector<LagPoint> busy;
  for (int i = 0; i < 6; ++i) {
    quiet.push_back(At(10 * i + 4, 0, 70'000, std::vector<int64_t>(4, 0)));
    busy.push_back(
        At(10 * i + 4, 4'000 + 37 * i, 70'000 + 5'000 * i, std::vector<int64_t>(4, 1'000 + 9 * i)));
  }
  EXPECT_LE(PackLag(kBegun, quiet).size(), 42u);
  EXPECT_LE(PackLag(kBegun, busy).size(), 84u);
}

TEST(LagBlockTest, NonsenseIsAnError) {
  std::string packed = PackLag(kBegun, {At(0, 5, 0, {5, 1}), At(10, 7, 0, {5, 2})});
  EXPECT_FALSE(UnpackLag(kBegun, packed.substr(0, packed.size() / 2)).ok());
  EXPECT_FALSE(UnpackLag(kBegun, "nonsense").ok());
}

TEST(LagBlockTest, CoarsePointsAreTheWorstOfTheirTime) {
  auto coarse =
      CoarsenLag({At(0, 10, 1, {4, 6}), At(10, 30, 2, {30, 0}), At(70, 2, 9, {2, 0})}, kMinute);
  EXPECT_EQ(coarse, (std::vector<LagPoint>{{kBegun, 30, 3, 2, {30, 6}},
                                           {kBegun + kMinute, 2, 0, 9, {2, 0}}}));
}

TEST(LagBlockTest, ASeriesHasNothingWhereNobodyLooked) {
  auto series = DrawLag({At(-10, 10, 0), At(0, 10, 50, {10, 0}), At(10, 30, 150, {10, 20}),
                         At(125, 2, 1'000, {2, 0}), At(300, 9, 9, {9, 0})},
                        kBegun, kMinute, 4);
  using Values = LagSeries::Values<int64_t>;
  EXPECT_EQ(series.waiting, (Values{30, std::nullopt, 2, std::nullopt}));
  EXPECT_EQ(series.oldest_seconds, (Values{3, std::nullopt, 0, std::nullopt}));
  ASSERT_EQ(series.unread.size(), 2u);
  EXPECT_EQ(series.unread[1], (Values{20, std::nullopt, 0, std::nullopt}));
  ASSERT_EQ(series.settled_rate.size(), 4u);
  EXPECT_DOUBLE_EQ(series.settled_rate[0].value(), 7.5) << "150 in 20 s";
  EXPECT_DOUBLE_EQ(series.settled_rate[2].value(), 850.0 / 115);
  EXPECT_FALSE(series.settled_rate[3]);
}

TEST(LagBlockTest, WhatWasSettledInALongGapHasNoRate) {
  auto series = DrawLag({At(0, 10, 50), At(1'200, 10, 5'000)}, kBegun, kMinute, 21);
  EXPECT_FALSE(series.settled_rate[20]);
  EXPECT_EQ(series.waiting[20], 10);
}

}  // namespace
}  // namespace dispatch::lag_block_test
