#include "function-manager/src/domain/key_order.h"

#include <gtest/gtest.h>

namespace dispatch::key_order_test {
namespace {

using Place = KeyOrder::Place;

DeliveryPtr At(int64_t sequence, bool row = false, const std::string& key = "k") {
  auto delivery = std::make_shared<Delivery>();
  delivery->sequence = sequence;
  delivery->key = key;
  delivery->has_row = row;
  return delivery;
}

const KeyOrder::Key kKey{Uuid{}, "k"};

TEST(KeyOrderTest, OneOfAKeyGoesAtATimeAndOtherKeysFlow) {
  KeyOrder order;
  auto first = At(1);
  auto second = At(2);
  EXPECT_EQ(order.Enter(first), Place::kGo);
  EXPECT_EQ(order.Enter(second), Place::kWait);
  EXPECT_EQ(order.Enter(At(3, false, "other")), Place::kGo);
  EXPECT_EQ(order.Next(kKey), nullptr) << "the first is on its way";
  order.Left(*first);
  EXPECT_EQ(order.Next(kKey), second);
  order.Left(*second);
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.keys(), 1u) << "what is empty is forgotten";
}

TEST(KeyOrderTest, WhatComesBehindASpilledHeadIsSpilled) {
  KeyOrder order;
  auto head = At(1);
  auto follower = At(2);
  order.Enter(head);
  order.Enter(follower);
  order.Spilled(*head, 5);
  ASSERT_EQ(order.Followers(kKey), std::vector<DeliveryPtr>{follower});
  order.Spilled(*follower, kNeverDue);
  EXPECT_EQ(order.Enter(At(3)), Place::kSpill);
  order.Spilled(*At(3), kNeverDue);
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_TRUE(order.Wanting(10).empty()) << "the head comes by itself";

  auto again = At(1, true);
  EXPECT_EQ(order.Enter(again), Place::kGo);
  order.Left(*again);
  EXPECT_EQ(order.Next(kKey), nullptr);
  auto wanting = order.Wanting(10);
  ASSERT_EQ(wanting.size(), 1u);
  EXPECT_EQ(wanting[0].second, 2);
  auto row = At(2, true);
  order.Loaded(row);
  EXPECT_EQ(order.Next(kKey), row);
  EXPECT_EQ(order.blocked(), 1u) << "the third";
}

TEST(KeyOrderTest, AFollowerInMemoryDoesNotPassARow) {
  KeyOrder order;
  auto head = At(1);
  auto kept = At(2);
  order.Enter(head);
  order.Enter(kept);
  order.Spilled(*head, 5);
  EXPECT_EQ(order.Next(kKey), nullptr) << "the retry store took no more, so it is in memory";
  auto again = At(1, true);
  order.Enter(again);
  order.Left(*again);
  EXPECT_EQ(order.Next(kKey), kept);
}

TEST(KeyOrderTest, BoundsAreOfDeliveriesAndOfBytes) {
  KeyOrder order({.deliveries = 3, .bytes = 100});
  for (int i = 0; i < 3; ++i) EXPECT_NE(order.Enter(At(i)), Place::kSpill);
  EXPECT_EQ(order.Enter(At(3)), Place::kSpill);
  auto big = At(1, false, "big");
  schema::EventData event;
  event.value = std::string(100, 'x');
  big->event = std::make_shared<const schema::EventData>(event);
  EXPECT_EQ(order.Enter(big), Place::kGo);
  EXPECT_EQ(order.Enter(At(2, false, "big")), Place::kSpill);
}

TEST(KeyOrderTest, AtAClaimWhatIsReadAgainGoesFirstWhereItIsFirst) {
  KeyOrder order;
  order.Restore(kKey, 2, 10, {});
  ASSERT_EQ(order.Wanting(10).size(), 1u);
  auto read_again = At(4);
  EXPECT_EQ(order.Enter(read_again), Place::kGo);
  EXPECT_TRUE(order.Wanting(10).empty()) << "one of the key is on its way";
  EXPECT_EQ(order.Enter(At(12)), Place::kSpill) << "behind the rows";
  order.Left(*read_again);
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.Wanting(10)[0].second, 10);
}

TEST(KeyOrderTest, AtAClaimAHeadWithATimeIsNotAskedFor) {
  KeyOrder order;
  order.Restore(kKey, 2, 10, {.due_ms = 5});
  EXPECT_TRUE(order.Wanting(10).empty());
  EXPECT_EQ(order.Enter(At(10, true)), Place::kGo);
}

TEST(KeyOrderTest, ARowThatIsNotFirstWaits) {
  KeyOrder order;
  order.Restore(kKey, 2, 10, {});
  auto later = At(20, true);
  EXPECT_EQ(order.Enter(later), Place::kWait);
  auto first = At(10, true);
  order.Loaded(first);
  EXPECT_EQ(order.Next(kKey), first);
  order.Left(*first);
  EXPECT_EQ(order.Next(kKey), later);
}

TEST(KeyOrderTest, RowsCountedTwiceDoNotBlockForEver) {
  KeyOrder order;
  order.Restore(kKey, 1, 10, {});
  order.NoRows(kKey);
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.keys(), 0u);
}

TEST(KeyOrderTest, WhatIsReturnedGoesBeforeRowsBehindItsPlace) {
  KeyOrder order;
  order.Restore(kKey, 2, 10, {.due_ms = 5});
  order.Returned(kKey, 4);
  ASSERT_EQ(order.Wanting(10).size(), 1u) << "the one at 10 lost its time";
  EXPECT_EQ(order.Wanting(10)[0].second, 4);
  auto head = At(10, true);
  EXPECT_EQ(order.Enter(head), Place::kWait) << "the wheel had read it before";
  EXPECT_EQ(order.Next(kKey), nullptr);
  auto returned = At(4, true);
  order.Loaded(returned);
  EXPECT_EQ(order.Next(kKey), returned);
  order.Left(*returned);
  EXPECT_EQ(order.Next(kKey), head);
  order.Left(*head);
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.Wanting(10)[0].second, 11);
}

TEST(KeyOrderTest, WhatIsReturnedWaitsForTheOneThatGoes) {
  KeyOrder order;
  auto going = At(10);
  ASSERT_EQ(order.Enter(going), Place::kGo);
  order.Returned(kKey, 4);
  EXPECT_TRUE(order.Wanting(10).empty());
  EXPECT_TRUE(order.RowsBefore(*going));
  order.Spilled(*going, kNeverDue);  // it failed
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.Wanting(10)[0].second, 4);
  auto returned = At(4, true);
  order.Loaded(returned);
  EXPECT_EQ(order.Next(kKey), returned);
  order.Spilled(*returned, 5);
  EXPECT_TRUE(order.Wanting(10).empty()) << "it has a time now, and the other waits behind it";
}

TEST(KeyOrderTest, WhatIsReturnedBehindAHeadWithATimeDoesNotHurryIt) {
  KeyOrder order;
  order.Restore(kKey, 1, 10, {.due_ms = 5});
  order.Returned(kKey, 20);
  EXPECT_TRUE(order.Wanting(10).empty());
  auto head = At(10, true);
  ASSERT_EQ(order.Enter(head), Place::kGo);
  order.Returned(kKey, 30);
  order.Spilled(*head, 5);
  EXPECT_TRUE(order.Wanting(10).empty());
  head = At(10, true);
  ASSERT_EQ(order.Enter(head), Place::kGo);
  order.Left(*head);
  EXPECT_EQ(order.Next(kKey), nullptr);
  ASSERT_EQ(order.Wanting(10).size(), 1u);
  EXPECT_LE(order.Wanting(10)[0].second, 20);
  for (int64_t at : {20, 30}) {
    auto row = At(at, true);
    order.Loaded(row);
    EXPECT_EQ(order.Next(kKey), row);
    order.Left(*row);
  }
  EXPECT_EQ(order.Next(kKey), nullptr);
  EXPECT_EQ(order.keys(), 0u);
}

TEST(KeyOrderTest, WhatWasNotReturnedAfterAllBlocksNothing) {
  KeyOrder order;
  order.Returned(kKey, 4);
  EXPECT_EQ(order.Enter(At(10)), Place::kSpill);
  order.NotReturned(kKey, 4);
  EXPECT_EQ(order.blocked(), 0u);
  EXPECT_EQ(order.Enter(At(11)), Place::kGo);
}

// What is told of the keys that hold others back, at a steady time of 10 s.
schema::Blocked Told(const KeyOrder& order) {
  auto all = order.Blocking(SteadyTime(std::chrono::seconds(10)));
  EXPECT_LE(all.size(), 1u);
  return all.empty() ? schema::Blocked{} : all.begin()->second;
}

DeliveryPtr Failed(DeliveryPtr delivery) {
  delivery->attempts = 3;
  delivery->first_attempt_ms = 7'000;
  delivery->last_status = 503;
  delivery->last_error = "503 from h";
  delivery->id.partition = 2;
  delivery->id.offset = 40;
  return delivery;
}

TEST(KeyOrderTest, AFailedHeadInMemoryIsToldWithWhatWaitsBehindIt) {
  KeyOrder order;
  auto head = At(1);
  order.Enter(head);
  Failed(head);
  head->state = Delivery::State::kWaiting;
  head->due_ms = 12'000;
  EXPECT_EQ(Told(order), schema::Blocked{}) << "nobody waits behind it";
  order.Enter(At(2));
  order.Enter(At(3));
  order.Enter(At(4, false, "well"));
  order.Enter(At(5, false, "well"));
  schema::Blocked expected{1, 2, {{"k", 2, 7'000, 3, 503, "503 from h", 12'000, 2, 40}}};
  EXPECT_EQ(Told(order), expected);
  head->state = Delivery::State::kInFlight;
  expected.first[0].next_ms = 0;
  EXPECT_EQ(Told(order), expected) << "it is tried again";
  order.Left(*head);
  EXPECT_EQ(Told(order), schema::Blocked{});
}

TEST(KeyOrderTest, AHeadInTheRetryStoreIsTold) {
  KeyOrder order;
  auto head = At(1);
  order.Enter(head);
  order.Enter(At(2));
  order.Spilled(*Failed(head), 50'000);
  order.Spilled(*At(3), kNeverDue);
  schema::Blocked expected{1, 2, {{"k", 2, 7'000, 3, 503, "503 from h", 50'000, 2, 40}}};
  EXPECT_EQ(Told(order), expected);
  KeyOrder next;  // whoever takes the partition over
  next.Restore(kKey, 3, 1, {50'000, 7'000, 3, 503, "503 from h", 2, 40});
  EXPECT_EQ(Told(next), expected);
}

TEST(KeyOrderTest, AHeadThatWasNotTriedBlocksNothing) {
  KeyOrder order;
  order.Restore(kKey, 3, 1, {.due_ms = 50'000});
  EXPECT_EQ(Told(order), schema::Blocked{}) << "a circuit or a rate holds it back, not the key";
}

TEST(KeyOrderTest, AHeadWithoutAnAnswerIsToldAfterAWhile) {
  KeyOrder order;
  auto head = At(1);
  order.Enter(head);
  order.Enter(At(2));
  head->state = Delivery::State::kInFlight;
  head->since = SteadyTime(std::chrono::milliseconds(5'500));
  EXPECT_EQ(Told(order).keys, 0);
  head->since = SteadyTime(std::chrono::milliseconds(4'500));
  EXPECT_EQ(Told(order).keys, 1);
}

TEST(KeyOrderTest, OfManyBlockingKeysTheWorstAreTold) {
  KeyOrder order;
  for (int64_t i = 0; i < 25; ++i) {
    order.Restore({Uuid{}, "key-" + std::to_string(i)}, i + 2, i,
                  {.due_ms = 50'000, .since_ms = 100 - i, .attempts = 1});
  }
  order.Restore({Uuid{}, "older"}, 26, 99, {.due_ms = 50'000, .since_ms = 1, .attempts = 1});
  auto told = Told(order);
  EXPECT_EQ(told.keys, 26);
  EXPECT_EQ(told.waiting, 25 * 26 / 2 + 25);
  ASSERT_EQ(told.first.size(), schema::Blocked::kFirst);
  EXPECT_EQ(told.first[0].key, "older");
  EXPECT_EQ(told.first[1].key, "key-24");
  EXPECT_EQ(told.first[9].waiting, 17);
}

TEST(KeyOrderTest, KeysAreToldAsText) {
  std::string umlauts = "ab";
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {std::string(128, 'x'), std::string(128, 'x')},
      {std::string(129, 'x'), std::string(128, 'x') + "…"},
      {"\xff\x01", "?\x01"},
      {"a" + umlauts, "a" + umlauts.substr(0, 126) + "…"},
  };
  for (const auto& [key, text] : cases) {
    KeyOrder order;
    order.Restore({Uuid{}, key}, 2, 1, {.due_ms = 5, .attempts = 1});
    EXPECT_EQ(Told(order).first.at(0).key, text);
  }
}

TEST(KeyOrderTest, NothingPassesWhatIsHeld) {
  KeyOrder order;
  order.Hold(Uuid{});
  order.Hold(Uuid{});
  order.Restore(kKey, 1, 10, {});
  EXPECT_TRUE(order.Wanting(10).empty());
  order.Release(Uuid{});
  EXPECT_TRUE(order.held(Uuid{}));
  order.Release(Uuid{});
  EXPECT_FALSE(order.held(Uuid{}));
  EXPECT_EQ(order.Wanting(10).size(), 1u);
}

}  // namespace
}  // namespace dispatch::key_order_test
