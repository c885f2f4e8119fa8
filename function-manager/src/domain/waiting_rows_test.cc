#include "function-manager/src/domain/waiting_rows.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace dispatch::waiting_rows_test {
namespace {

TEST(WaitingRowsTest, TheOldestGoesWithItsSecond) {
  WaitingRows rows;
  EXPECT_EQ(rows.oldest_ms(), 0);
  rows.Add(5'700, 0);
  rows.Add(5'300, 0);
  rows.Add(9'000, 0, 3);
  EXPECT_EQ(rows.rows(), 5);
  EXPECT_EQ(rows.oldest_ms(), 5'300);
  rows.Remove(5'300, 0);
  rows.Remove(5'700, 0);
  EXPECT_EQ(rows.oldest_ms(), 9'000);
}

TEST(WaitingRowsTest, ARowIsScheduledUntilItsTime) {
  WaitingRows rows;
  rows.Advance(1'000);
  rows.Add(900, 60'000, 2);
  rows.Add(900, 90'000);
  rows.Add(900, 500);  // known too late
  EXPECT_EQ(rows.scheduled(), 3);
  EXPECT_EQ(rows.oldest_ms(), 500);
  rows.Remove(900, 500);
  EXPECT_EQ(rows.oldest_ms(), 0);
  EXPECT_FALSE(rows.Advance(59'000));
  EXPECT_TRUE(rows.Advance(60'000));
  EXPECT_EQ(rows.scheduled(), 1);
  EXPECT_EQ(rows.oldest_ms(), 60'000);
  EXPECT_FALSE(rows.Advance(30'000)) << "time goes back";
  EXPECT_EQ(rows.scheduled(), 1);
  rows.Remove(900, 90'000);  // its subscription is gone
  EXPECT_EQ(rows.scheduled(), 0);
  EXPECT_EQ(rows.rows(), 2);
}

TEST(WaitingRowsTest, CountsAsAListDoes) {
  std::mt19937_64 random(7);
  WaitingRows rows;
  std::multiset<std::pair<int64_t, int64_t>> list;
  int64_t now = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (list.empty() || random() % 2 == 0) {
      int64_t source = now - static_cast<int64_t>(random() % 5'000) + 10'000;
      int64_t at = random() % 2 == 0 ? 0 : source + static_cast<int64_t>(random() % 60'000);
      list.emplace(source, at);
      rows.Add(source, at);
    } else {
      auto it = std::next(list.begin(), static_cast<ptrdiff_t>(random() % list.size()));
      rows.Remove(it->first, it->second);
      list.erase(it);
    }
    now += static_cast<int64_t>(random() % 100);
    rows.Advance(now);
    auto scheduled = std::count_if(list.begin(), list.end(),
                                   [&](const auto& row) { return row.second / 1000 > now / 1000; });
    ASSERT_EQ(rows.scheduled(), scheduled);
    ASSERT_EQ(rows.rows(), static_cast<int64_t>(list.size()));
  }
}

}  // namespace
}  // namespace dispatch::waiting_rows_test
