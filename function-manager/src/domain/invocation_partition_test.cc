#include "function-manager/src/domain/invocation_partition.h"

#include <gtest/gtest.h>

namespace dispatch::invocation_partition_test {
namespace {

using Outcome = InvocationPartition::Outcome;

Uuid Id(uint8_t n) {
  Uuid id;
  id.bytes[0] = n;
  return id;
}

broker::Record At(int64_t offset) {
  broker::Record record;
  record.offset = offset;
  record.value = "bytes";
  return record;
}

schema::Invocation Make(int64_t source_offset, int targets) {
  schema::Invocation invocation;
  invocation.topic_uuid = Id(100);
  invocation.source_offset = source_offset;
  invocation.source_timestamp_ms = 1000 + source_offset;
  for (int i = 0; i < targets; ++i) {
    invocation.targets.push_back({Id(static_cast<uint8_t>(i + 1)), 1, 1});
  }
  return invocation;
}

std::shared_ptr<InvocationPartition> Claimed(const InvokeSave& save) {
  InvokeClaim claim;
  claim.partition = save.partition;
  claim.epoch = save.epoch + 1;
  claim.position = save.position;
  claim.checkpoint = save.checkpoint;
  for (const auto& row : save.upserts) {
    bool delayed = row.deliver_at_ms != 0;
    claim.waiting.push_back(
        {row.id.subscription, 1, delayed ? row.deliver_at_ms : row.source_timestamp_ms, delayed});
  }
  return std::make_shared<InvocationPartition>(claim, OffsetTracker::Limits{});
}

std::shared_ptr<InvocationPartition> Fresh() { return Claimed(InvokeSave{}); }

TEST(InvocationPartitionTest, ARecordCompletesWithItsLastTarget) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 2), 0);
  ASSERT_EQ(taken.size(), 2u);
  books->Settle(*taken[0], Outcome::kDelivered);
  EXPECT_EQ(books->position(), 0);
  books->Settle(*taken[1], Outcome::kCancelled);
  EXPECT_EQ(books->position(), 1);
  EXPECT_TRUE(books->deliveries().empty());
}

TEST(InvocationPartitionTest, AfterARestartOnlyWhatWasNotSettledComesAgain) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 3), 0);
  books->TakeIn(At(1), Make(8, 1), 0);
  books->Settle(*taken[1], Outcome::kDelivered);
  auto again = Claimed(books->Snapshot());
  auto retaken = again->TakeIn(At(0), Make(7, 3), 0);
  ASSERT_EQ(retaken.size(), 2u);
  EXPECT_EQ(retaken[0]->id.subscription, Id(1));
  EXPECT_EQ(retaken[1]->id.subscription, Id(3));
  EXPECT_EQ(again->TakeIn(At(1), Make(8, 1), 0).size(), 1u);
  // Counted once, however often read.
  EXPECT_EQ(again->accounts()[Id(1)].counters.received, 2);
  EXPECT_EQ(again->accounts()[Id(2)].counters.delivered, 1);
  // A repeat that event-manager wrote is still told from news.
  EXPECT_TRUE(again->TakeIn(At(2), Make(7, 3), 0).empty());
}

TEST(InvocationPartitionTest, ASpilledDeliveryIsPendingInTheStoreOnly) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 1), 0);
  books->Spill(*taken[0], 5'000, false);
  EXPECT_EQ(books->position(), 1);
  auto save = books->Snapshot();
  ASSERT_EQ(save.upserts.size(), 1u);
  EXPECT_EQ(save.upserts[0].due_ms, 5'000);
  EXPECT_EQ(books->Saved(), 5'000);
  EXPECT_TRUE(books->deliveries().empty());
  EXPECT_EQ(books->CountPending()[Id(1)].retrying, 1);

  auto row = save.upserts[0];
  books->BeginLoad();
  auto delivery = books->TakeRow(row);
  ASSERT_NE(delivery, nullptr);
  EXPECT_EQ(books->TakeRow(row), nullptr);
  delivery->state = Delivery::State::kInFlight;
  auto pending = books->CountPending()[Id(1)];
  EXPECT_EQ(pending.in_flight, 1);
  EXPECT_EQ(pending.retrying, 0);
  books->Settle(*delivery, Outcome::kDelivered);
  save = books->Snapshot();
  EXPECT_EQ(save.deletes.size(), 1u);
  EXPECT_EQ(books->CountPending()[Id(1)].total(), 0);
}

TEST(InvocationPartitionTest, WhatIsScheduledIsNotLateBeforeItsTime) {
  auto books = Fresh();
  auto invocation = Make(7, 2);
  invocation.deliver_at_ms = 60'000;
  auto taken = books->TakeIn(At(0), invocation, 0);
  for (auto& delivery : taken) books->Spill(*delivery, 60'000, false);
  books->Advance(50'000);
  auto count = [](const auto& of) { return of->CountPending()[Id(1)]; };
  EXPECT_EQ(books->position(), 1);
  EXPECT_EQ(count(books).scheduled, 1);
  EXPECT_EQ(count(books).retrying, 0);
  EXPECT_EQ(count(books).oldest_ms, 0);

  auto save = books->Snapshot();
  ASSERT_EQ(save.upserts.size(), 2u);
  auto row = save.upserts[0];
  EXPECT_EQ(row.attempts, 0);
  auto again = Claimed(save);
  again->Advance(50'000);
  EXPECT_EQ(count(again).scheduled, 1);
  auto early = again->TakeRow(row);  // as the wheel does, a moment before
  ASSERT_NE(early, nullptr);
  EXPECT_EQ(early->deliver_at_ms, 60'000);
  early->state = Delivery::State::kWaiting;
  EXPECT_EQ(count(again).scheduled, 1);
  EXPECT_EQ(count(again).total(), 1);
  again->accounts()[Id(1)].changed = false;
  again->Advance(61'000);
  EXPECT_TRUE(again->accounts()[Id(1)].changed) << "it is to be told";
  EXPECT_EQ(count(again).scheduled, 0);
  EXPECT_EQ(count(again).retrying, 1);
  EXPECT_EQ(count(again).oldest_ms, 60'000) << "its age counts from its time on";
  early->state = Delivery::State::kQueued;
  EXPECT_EQ(count(again).queued, 1);
  EXPECT_EQ(count(again).total(), 1);
  again->Settle(*early, Outcome::kDelivered);
  EXPECT_EQ(count(again).total(), 0);
}

TEST(InvocationPartitionTest, AFailedSaveKeepsItsChanges) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 1), 0);
  books->Spill(*taken[0], 5'000, false);
  books->Snapshot();
  books->SaveFailed();
  EXPECT_TRUE(books->dirty());
  auto save = books->Snapshot();
  ASSERT_EQ(save.upserts.size(), 1u);
  // Settled while the second try is under way: the deletion comes with the third.
  books->Settle(*taken[0], Outcome::kDelivered);
  EXPECT_EQ(books->Saved(), std::nullopt);
  save = books->Snapshot();
  EXPECT_TRUE(save.upserts.empty());
  EXPECT_EQ(save.deletes.size(), 1u);
}

TEST(InvocationPartitionTest, ARowReadBeforeItsDeletionIsNotTakenAfterIt) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 1), 0);
  books->Spill(*taken[0], 0, true);
  auto row = books->Snapshot().upserts[0];
  books->Saved();
  books->BeginLoad();  // the store is asked, and answers with the row
  books->Settle(*taken[0], Outcome::kDelivered);
  books->Snapshot();
  books->Saved();
  EXPECT_EQ(books->TakeRow(row), nullptr);
  books->BeginLoad();
  EXPECT_NE(books->TakeRow(row), nullptr);  // what a later answer says counts
}

ChosenLetter Letter(const schema::DeliveryId& id) {
  ChosenLetter letter;
  letter.id = id;
  letter.redrive = Id(9);
  return letter;
}

RetryRow RowOf(const ChosenLetter& letter) {
  RetryRow row;
  row.id = letter.id;
  row.id.replay = letter.redrive;
  row.due_ms = 7'000;
  row.source_timestamp_ms = 1'000;
  return row;
}

TEST(InvocationPartitionTest, AReturnedLetterIsPendingWithTheCheckpointThatTakesIt) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 1), 0);
  books->Settle(*taken[0], Outcome::kDeadLettered);
  auto letter = Letter(taken[0]->id);
  books->Return(letter, RowOf(letter));
  EXPECT_TRUE(books->returning());
  auto save = books->Snapshot();
  ASSERT_EQ(save.returns.size(), 1u);
  ASSERT_EQ(save.upserts.size(), 1u);
  EXPECT_EQ(save.returns[0].letter, letter.id);
  EXPECT_EQ(save.returns[0].row, save.upserts[0].id);
  EXPECT_EQ(save.checkpoint.counters[0].counters.dead_lettered, 0);
  EXPECT_EQ(books->CountPending()[Id(1)].retrying, 1);
  EXPECT_EQ(books->TakeRow(save.upserts[0]), nullptr) << "not durable yet";
  // Its end is not known: all of it is written again.
  books->SaveFailed();
  EXPECT_EQ(books->Snapshot().returns.size(), 1u);
  EXPECT_EQ(books->Saved(), 7'000) << "the wheel is to look there";
  EXPECT_FALSE(books->returning());
  books->BeginLoad();
  EXPECT_NE(books->TakeRow(save.upserts[0]), nullptr);
}

TEST(InvocationPartitionTest, ALetterThatIsNotChosenAnyMoreStaysOne) {
  auto books = Fresh();
  auto taken = books->TakeIn(At(0), Make(7, 1), 0);
  books->Settle(*taken[0], Outcome::kDeadLettered);
  auto letter = Letter(taken[0]->id);
  auto row = RowOf(letter);
  row.key = "k";
  books->Return(letter, row);
  EXPECT_EQ(books->order().blocked(), 1u);
  books->Snapshot();
  books->SaveFailed();
  books->ReturnFailed(row.id);
  auto save = books->Snapshot();
  EXPECT_TRUE(save.returns.empty());
  EXPECT_TRUE(save.upserts.empty());
  EXPECT_EQ(save.checkpoint.counters[0].counters.dead_lettered, 1);
  EXPECT_EQ(books->CountPending()[Id(1)].total(), 0);
  EXPECT_EQ(books->rows(), 0);
  EXPECT_EQ(books->order().blocked(), 0u);
}

TEST(InvocationPartitionTest, ReceivedIsSettledAndPendingAtAnyMoment) {
  auto books = Fresh();
  std::vector<DeliveryPtr> all;
  for (int i = 0; i < 20; ++i) {
    for (auto& d : books->TakeIn(At(i), Make(i, 2), 0)) {
      d->state = Delivery::State::kQueued;
      all.push_back(d);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (i % 5 == 0) books->Settle(*all[i], Outcome::kDelivered);
    if (i % 5 == 1) books->Spill(*all[i], 100, false);
    if (i % 5 == 2) books->Settle(*all[i], Outcome::kDeadLettered);
    if (i % 7 == 0) {
      books->Snapshot();
      books->Saved();
    }
    auto pending = books->CountPending();
    for (const auto& [id, account] : books->accounts()) {
      EXPECT_EQ(account.counters.received, account.counters.settled() + pending[id].total());
    }
  }
}

}  // namespace
}  // namespace dispatch::invocation_partition_test
