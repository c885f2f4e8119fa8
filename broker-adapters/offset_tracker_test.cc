#include "broker-adapters/offset_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <set>

namespace dispatch::offset_tracker_test {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

TEST(OffsetTracker, Breathes) {
  OffsetTracker tracker(10);
  EXPECT_EQ(tracker.Position(), 10);
  EXPECT_TRUE(tracker.Deliver(10, 1, 100));
  EXPECT_TRUE(tracker.Deliver(11, 2, 50));
  EXPECT_TRUE(tracker.Deliver(15, 1, 5));  // 12 to 14 do not exist
  EXPECT_EQ(tracker.weight(), 4u);
  EXPECT_EQ(tracker.bytes(), 155u);
  EXPECT_TRUE(tracker.Complete(11));
  EXPECT_EQ(tracker.Position(), 10);
  EXPECT_EQ(tracker.Completed(), (Ranges{{11, 15}}));
  EXPECT_TRUE(tracker.Complete(10));
  EXPECT_EQ(tracker.Position(), 15);
  EXPECT_TRUE(tracker.Complete(15));
  EXPECT_EQ(tracker.Position(), 16);
  EXPECT_EQ(tracker.incomplete(), 0u);
  EXPECT_EQ(tracker.bytes(), 0u);
  EXPECT_TRUE(tracker.Completed().empty());
}

TEST(OffsetTracker, RepeatsAndUnknownCompletionsAreRefused) {
  OffsetTracker tracker(0);
  EXPECT_TRUE(tracker.Deliver(3, 1, 1));
  EXPECT_FALSE(tracker.Deliver(3, 1, 1));
  EXPECT_FALSE(tracker.Deliver(1, 1, 1));
  EXPECT_FALSE(tracker.Complete(2));
  EXPECT_FALSE(tracker.Complete(9));
  EXPECT_TRUE(tracker.Complete(3));
  EXPECT_FALSE(tracker.Complete(3));
  EXPECT_FALSE(tracker.Deliver(3, 1, 1));
}

TEST(OffsetTracker, RestoreSkipsWhatWasComplete) {
  auto tracker = OffsetTracker::Restore(5, {{7, 9}, {20, 30}}, {});
  EXPECT_EQ(tracker.Position(), 5);
  EXPECT_EQ(tracker.Completed(), (Ranges{{7, 9}, {20, 30}}));
  EXPECT_TRUE(tracker.Deliver(5, 1, 1));
  EXPECT_TRUE(tracker.Deliver(6, 1, 1));
  EXPECT_FALSE(tracker.Deliver(7, 1, 1));
  EXPECT_FALSE(tracker.Deliver(8, 1, 1));
  EXPECT_TRUE(tracker.Complete(5));
  EXPECT_EQ(tracker.Completed(), (Ranges{{7, 9}, {20, 30}}));
  EXPECT_TRUE(tracker.Complete(6));
  EXPECT_EQ(tracker.Position(), 9);
  EXPECT_FALSE(tracker.Deliver(20, 1, 1));  // 9 to 19 were compacted
  EXPECT_EQ(tracker.Position(), 30);
  EXPECT_TRUE(tracker.Completed().empty());
}

TEST(OffsetTracker, LimitsBoundWeightBytesAndSpan) {
  OffsetTracker::Limits limits{.max_incomplete = 10, .max_bytes = 1000, .max_span = 100};
  {
    OffsetTracker tracker(0, limits);
    tracker.Deliver(0, 9, 1);
    EXPECT_FALSE(tracker.full());
    tracker.Deliver(1, 1, 1);
    EXPECT_TRUE(tracker.full());
    tracker.Release(0, 4, 0);
    EXPECT_FALSE(tracker.full());
    EXPECT_FALSE(tracker.half_empty());
    tracker.Release(0, 2, 0);
    EXPECT_TRUE(tracker.half_empty());
    EXPECT_EQ(tracker.Position(), 0);  // let go of, not complete
    tracker.Complete(0);
    EXPECT_EQ(tracker.weight(), 1u);
  }
  {
    OffsetTracker tracker(0, limits);
    tracker.Deliver(0, 1, 1000);
    EXPECT_TRUE(tracker.full());
    tracker.Complete(0);
    EXPECT_TRUE(tracker.half_empty());
  }
  {
    OffsetTracker tracker(0, limits);
    tracker.Deliver(0, 1, 1);
    tracker.Deliver(99, 1, 1);
    EXPECT_TRUE(tracker.full());
    tracker.Complete(0);
    EXPECT_TRUE(tracker.half_empty());
  }
}

// What the tracker claims, by brute force over the offsets that exist.
class Model {
 public:
  explicit Model(std::vector<int64_t> log) : log_(std::move(log)) {}

  // Every offset of the log below `position` or in `ranges` must be complete, all others not.
  void Check(const OffsetTracker& tracker) const {
    int64_t position = tracker.Position();
    Ranges ranges = tracker.Completed();
    int64_t last = position;
    for (auto [first, second] : ranges) {
      ASSERT_LT(first, second);
      ASSERT_GT(first, last) << "ranges touch, overlap, or start at the position";
      last = second;
    }
    for (int64_t offset : log_) {
      bool claimed = offset < position;
      for (auto [first, second] : ranges) claimed |= offset >= first && offset < second;
      ASSERT_EQ(claimed, complete.contains(offset)) << "offset " << offset;
    }
    size_t weight = 0;
    size_t bytes = 0;
    for (auto& [offset, w] : under_way) {
      weight += w.first;
      bytes += w.second;
    }
    ASSERT_EQ(tracker.incomplete(), under_way.size());
    ASSERT_EQ(tracker.weight(), weight);
    ASSERT_EQ(tracker.bytes(), bytes);
  }

  std::set<int64_t> complete;
  std::map<int64_t, std::pair<size_t, size_t>> under_way;

 private:
  std::vector<int64_t> log_;
};

void RunSeed(uint64_t seed) {
  std::mt19937_64 random(seed);
  auto pick = [&](uint64_t n) { return random() % n; };
  std::vector<int64_t> log;
  int64_t start = static_cast<int64_t>(pick(5));
  int64_t max_gap = pick(3) == 0 ? 20 : 2;
  size_t length = 20 + pick(seed % 50 == 0 ? 3000 : 60);
  for (int64_t offset = start; log.size() < length; offset += 1) {
    if (pick(3) == 0) offset += static_cast<int64_t>(pick(max_gap));
    log.push_back(offset);
  }
  Model model(log);
  OffsetTracker tracker(start);
  size_t next = 0;  // index of the next record to deliver
  for (size_t step = 0; step < length * 3; ++step) {
    switch (pick(8)) {
      case 0:
      case 1:
      case 2:
        if (next < log.size()) {
          int64_t offset = log[next++];
          std::pair<size_t, size_t> weight{1 + pick(4), pick(100)};
          bool fresh = tracker.Deliver(offset, weight.first, weight.second);
          ASSERT_EQ(fresh, !model.complete.contains(offset));
          if (fresh) model.under_way[offset] = weight;
        }
        break;
      case 3:
      case 4:
      case 5: {
        int64_t offset = log[pick(std::max<size_t>(next, 1))];
        ASSERT_EQ(tracker.Complete(offset), model.under_way.erase(offset) == 1);
        if (offset < tracker.next()) model.complete.insert(offset);
        break;
      }
      case 6:
        if (next > 0) {
          ASSERT_FALSE(tracker.Deliver(log[pick(next)], 1, 1));  // a repeat
        } else {
          break;
        }
        if (!model.under_way.empty()) {
          auto& [offset, weight] = *model.under_way.begin();
          size_t w = pick(weight.first + 2);
          size_t b = pick(weight.second + 2);
          tracker.Release(offset, w, b);
          weight.first -= std::min(weight.first, w);
          weight.second -= std::min(weight.second, b);
        }
        break;
      case 7:
        if (pick(10) == 0) {  // a crash: the checkpoint decides what comes again
          tracker = OffsetTracker::Restore(tracker.Position(), tracker.Completed(), {});
          model.under_way.clear();
          next = static_cast<size_t>(std::lower_bound(log.begin(), log.end(), tracker.Position()) -
                                     log.begin());
        }
        break;
    }
    if (length < 200 || step % 97 == 0) {
      model.Check(tracker);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(OffsetTracker, AgreesWithTheModel) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(seed);
    RunSeed(seed);
    if (HasFatalFailure()) return;
  }
}

TEST(OffsetTracker, CostsNextToNothing) {
  OffsetTracker tracker(0);
  std::mt19937_64 random(1);
  auto began = std::chrono::steady_clock::now();
  constexpr int64_t kRecords = 1'000'000;
  // The head of each thousand completes last.
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    tracker.Deliver(offset, 1, 200);
    int64_t back = static_cast<int64_t>(random() % 500);
    if (offset % 1000 != 0) tracker.Complete(std::max<int64_t>(1, offset - back));
    if (offset % 1000 == 999) {
      for (int64_t o = offset - 999; o <= offset; ++o) tracker.Complete(o);
    }
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_EQ(tracker.Position(), kRecords);
  RecordProperty("ns_per_record", static_cast<int>(seconds * 1e9 / kRecords));
  EXPECT_LT(seconds, 5.0);  // an instrumented build on a busy machine; usually 0.1
}

}  // namespace
}  // namespace dispatch::offset_tracker_test
