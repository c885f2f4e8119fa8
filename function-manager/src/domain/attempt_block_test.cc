#include "function-manager/src/domain/attempt_block.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "function-manager/src/domain/attempt_page.h"

namespace dispatch::attempt_block_test {
namespace {

Uuid Id(uint8_t n) {
  Uuid id;
  id.bytes[0] = n;
  return id;
}

Attempt Success(int64_t offset, int64_t at_ms, uint8_t subscription = 1, int32_t partition = 0) {
  Attempt a;
  a.id = {Id(100), partition, offset, Id(subscription), 3, Uuid{}};
  a.org = "acme";
  a.subscription = "s";
  a.at_ms = at_ms;
  a.latency_us = 1'500;
  a.status = 204;
  a.outcome = kDelivered;
  return a;
}

TEST(AttemptBlockTest, NeighboursAreOneBlockAndComeBackAsTheyWere) {
  Attempt replayed = Success(7, 1'005);
  replayed.id.replay = Id(9);
  replayed.number = 2;
  replayed.answer_head = "ok";
  auto blocks = PackAttempts({Success(9, 1'000), replayed, Success(8, 1'010)});
  ASSERT_EQ(blocks.size(), 1u);
  const auto& block = blocks[0];
  EXPECT_EQ(block.first_offset, 7);
  EXPECT_EQ(block.last_offset, 9);
  EXPECT_EQ(block.first_ms, 1'000);
  EXPECT_EQ(block.last_ms, 1'010);
  auto again = UnpackAttempts(block);
  ASSERT_TRUE(again.ok()) << again.message();
  ASSERT_EQ(again->size(), 3u);
  const Attempt& first = again->front();
  EXPECT_EQ(first.id, replayed.id);
  EXPECT_EQ(first.number, 2);
  EXPECT_EQ(first.at_ms, 1'005);
  EXPECT_EQ(first.latency_us, 1'500);
  EXPECT_EQ(first.status, 204);
  EXPECT_EQ(first.outcome, kDelivered);
  EXPECT_EQ(first.answer_head, "ok");
  EXPECT_EQ(first.org, "acme");
  EXPECT_EQ(first.subscription, "s");
  AttemptBlock broken = block;
  broken.attempts = "\xff";
  EXPECT_EQ(UnpackAttempts(broken).code(), Code::kInvalidArgument);
}

TEST(AttemptBlockTest, WhatDiffersIsApart) {
  Attempt kept = Success(1, 0);
  kept.keep = true;
  EXPECT_EQ(PackAttempts({Success(1, 0), Success(1, 0, 2), Success(1, 0, 1, 1), kept}).size(), 4u);
}

// A block is found by its last offset and by its last time: it must not reach too far back.
TEST(AttemptBlockTest, BlocksAreBoundedAndHoldEveryAttemptOnce) {
  std::mt19937_64 random(5);
  std::vector<Attempt> attempts;
  for (int i = 0; i < 20'000; ++i) {
    auto offset = static_cast<int64_t>(random() % 50'000);
    auto at = static_cast<int64_t>(random() % 200'000);
    attempts.push_back(Success(offset, at, static_cast<uint8_t>(1 + random() % 2)));
    attempts.back().answer_head.assign(random() % 300, 'x');
  }
  using Key = std::tuple<Uuid, int64_t, int64_t>;
  std::multiset<Key> before;
  std::multiset<Key> after;
  for (const auto& a : attempts) before.insert({a.id.subscription, a.id.offset, a.at_ms});
  for (const auto& block : PackAttempts(attempts)) {
    EXPECT_LT(block.last_offset - block.first_offset, AttemptBlock::kMostOffsets);
    EXPECT_LT(block.last_ms - block.first_ms, AttemptBlock::kMostMillis);
    auto unpacked = UnpackAttempts(block);
    ASSERT_TRUE(unpacked.ok());
    EXPECT_LE(unpacked->size(), AttemptBlock::kMostAttempts);
    for (const auto& a : *unpacked) {
      EXPECT_TRUE(a.id.offset >= block.first_offset && a.id.offset <= block.last_offset);
      EXPECT_TRUE(a.at_ms >= block.first_ms && a.at_ms <= block.last_ms);
      after.insert({a.id.subscription, a.id.offset, a.at_ms});
    }
  }
  EXPECT_EQ(before, after);
}

TEST(AttemptPageTest, CursorsAreWhatPagesGave) {
  AttemptCursor cursor{1'700'000'000'000, 3, 41, 2};
  auto again = AttemptCursor::Parse(cursor.ToString());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, cursor);
  EXPECT_GT(*AttemptCursor::Parse(""), cursor);
  for (const char* bad : {"x", "1-2-3", "1-2-3-4-5", "1-2-3-", "-1-2-3-4", "1-99999999999-3-4",
                          "1-2-3-4x", "--", "1--3-4"}) {
    EXPECT_EQ(AttemptCursor::Parse(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(AttemptPageTest, NewestFirstFromTheCursorOn) {
  std::vector<Attempt> found;
  for (int64_t i = 0; i < 10; ++i) found.push_back(Success(i, 1'000 + i / 2));
  AttemptQuery query;
  query.limit = 4;
  query.since_ms = 1'001;
  auto page = PageOf(found, query);
  ASSERT_EQ(page.attempts.size(), 4u);
  EXPECT_EQ(page.attempts[0].id.offset, 9);
  EXPECT_EQ(page.attempts[3].id.offset, 6);
  ASSERT_TRUE(page.next);
  query.before = *page.next;
  page = PageOf(found, query);
  ASSERT_EQ(page.attempts.size(), 4u);
  EXPECT_EQ(page.attempts[0].id.offset, 5);
  EXPECT_EQ(page.attempts[3].id.offset, 2);
  EXPECT_FALSE(page.next);
  query.before = {};
  query.outcome = "retry";
  EXPECT_TRUE(PageOf(found, query).attempts.empty());
}

}  // namespace
}  // namespace dispatch::attempt_block_test
