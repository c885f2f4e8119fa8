#include "function-manager/src/domain/intake.h"

#include <gtest/gtest.h>

namespace dispatch::intake_test {
namespace {

Uuid Id(uint8_t n) {
  Uuid id;
  id.bytes[0] = n;
  return id;
}

schema::Invocation Make(int64_t offset, std::vector<uint8_t> targets, int chunk = 0, int chunks = 1,
                        Uuid stream = {}) {
  schema::Invocation invocation;
  invocation.topic_uuid = Id(100);
  invocation.source_offset = offset;
  invocation.stream = stream;
  invocation.chunk = chunk;
  invocation.chunks = chunks;
  for (uint8_t target : targets) invocation.targets.push_back({Id(target), 1, 1});
  return invocation;
}

using News = std::vector<bool>;

TEST(IntakeTest, RepeatsBelowTheMarkAreDropped) {
  Intake intake;
  EXPECT_EQ(intake.Accept(Make(5, {1, 2}), 0), (News{true, true}));
  EXPECT_EQ(intake.Accept(Make(7, {1}), 0), News{true});
  EXPECT_EQ(intake.Accept(Make(5, {1, 2}), 0), (News{false, false}));
  EXPECT_EQ(intake.Accept(Make(6, {1}), 0), News{false});
}

TEST(IntakeTest, AtTheMarkRepeatsAreToldPerTarget) {
  Intake intake;
  intake.Accept(Make(5, {1, 2}, 0, 2), 0);
  // A crash; meanwhile the list changed: 2 went, 4 came.
  EXPECT_EQ(intake.Accept(Make(5, {1, 3, 4}, 0, 2), 0), (News{false, true, true}));
  EXPECT_EQ(intake.Accept(Make(5, {4, 6}, 1, 2), 0), (News{false, true}));
}

TEST(IntakeTest, StreamsAndSourcePartitionsHaveMarksOfTheirOwn) {
  Intake intake;
  EXPECT_EQ(intake.Accept(Make(9, {1}), 0), News{true});
  EXPECT_EQ(intake.Accept(Make(3, {1}, 0, 1, Id(50)), 0), News{true});
  auto other = Make(1, {1});
  other.source_partition = 1;
  EXPECT_EQ(intake.Accept(other, 0), News{true});
}

TEST(IntakeTest, ARestoredIntakeKnowsWhatTheFirstKnew) {
  Intake first;
  first.Accept(Make(5, {1, 2}), 10);
  first.Accept(Make(3, {7}, 0, 1, Id(50)), 10);
  Intake second;
  second.Restore(first.Snapshot());
  EXPECT_EQ(second.Accept(Make(4, {1}), 20), News{false});
  EXPECT_EQ(second.Accept(Make(5, {2, 3}), 20), (News{false, true}));
  EXPECT_EQ(second.Accept(Make(3, {7, 8}, 0, 1, Id(50)), 20), (News{false, true}));
}

TEST(IntakeTest, OnlySilentStreamsThatAreNotLiveExpire) {
  Intake intake;
  intake.Accept(Make(5, {1}), 10);
  intake.Accept(Make(5, {1}, 0, 1, Id(50)), 10);
  intake.Expire(11);
  EXPECT_EQ(intake.Snapshot().size(), 1u);
  EXPECT_EQ(intake.Accept(Make(4, {1}), 20), News{false});
}

}  // namespace
}  // namespace dispatch::intake_test
