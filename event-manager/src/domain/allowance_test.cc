#include "event-manager/src/domain/allowance.h"

#include <gtest/gtest.h>

namespace dispatch::allowance_test {
namespace {

Uuid Id(uint8_t number) {
  Uuid id;
  id.bytes[0] = number;
  return id;
}

class AllowanceTest : public ::testing::Test {
 protected:
  static Allowance::Limits Small() {
    Allowance::Limits limits;
    limits.deliveries = 10;
    limits.bytes = 1000;
    limits.organization = 25;
    limits.total = 40;
    limits.scheduled = 20;
    limits.scheduled_bytes = 100'000;
    limits.scheduled_organization = 30;
    return limits;
  }
  void Charge(Allowance::Account& account, int count, size_t bytes = 1) {
    for (int i = 0; i < count; ++i) allowance_.Charge(account, bytes);
  }
  Allowance allowance_{Small()};
  Allowance::Account& account_ = allowance_.Open(Id(1), "acme");
};

TEST_F(AllowanceTest, EndsAtTheHighMarkAndComesBackWhenAnEighthIsFree) {
  Charge(account_, 9);
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
  Charge(account_, 1);
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  Charge(account_, 7);
  allowance_.SetSettled(Id(1), 7, 0, {});  // an eighth of 10 is 1
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetSettled(Id(1), 8, 0, {});
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
  EXPECT_EQ(allowance_.outstanding(Id(1)), 9);
}

TEST_F(AllowanceTest, PlentyIsHalfOfIt) {
  EXPECT_TRUE(allowance_.plenty(Id(1)));
  Charge(account_, 5);
  EXPECT_TRUE(allowance_.plenty(Id(1)));
  Charge(account_, 1);
  EXPECT_FALSE(allowance_.plenty(Id(1)));
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
  EXPECT_TRUE(allowance_.plenty(Id(9)));  // nothing was matched for it yet
}

TEST_F(AllowanceTest, TellsWhenOneIsExhaustedAndWhenItGoesOn) {
  int told = 0;
  allowance_.OnChanged([&] { ++told; });
  Charge(account_, 9);
  EXPECT_EQ(told, 0);
  Charge(account_, 3);
  EXPECT_EQ(told, 1);
  allowance_.SetSettled(Id(1), 2, 0, {});
  EXPECT_EQ(told, 1);
  allowance_.SetSettled(Id(1), 3, 0, {});
  EXPECT_EQ(told, 2);
  Charge(account_, 5);
  allowance_.Forget(Id(1));
  EXPECT_EQ(told, 4);
}

TEST_F(AllowanceTest, LargeEventsCountByTheirSize) {
  Charge(account_, 2, 400);
  EXPECT_TRUE(allowance_.exhausted(Id(1)));  // two of them fit into 1,000 bytes
}

TEST_F(AllowanceTest, WhatOthersMatchedCounts) {
  allowance_.SetOthers({{Id(1), 8}});
  Charge(account_, 2);
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetOthers({});
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
}

TEST_F(AllowanceTest, APartitionThatMovesKeepsItsCount) {
  Charge(account_, 10);
  allowance_.Give(account_, 10);
  EXPECT_EQ(allowance_.outstanding(Id(1)), 10);
  allowance_.Take(account_, 10);
  EXPECT_EQ(allowance_.outstanding(Id(1)), 10);
}

TEST_F(AllowanceTest, WhatWasToldBeforeItOpenedCounts) {
  allowance_.SetSettled(Id(2), 100, 0, {});
  auto& late = allowance_.Open(Id(2), "acme");
  allowance_.Take(late, 105);
  EXPECT_EQ(allowance_.outstanding(Id(2)), 5);
}

TEST_F(AllowanceTest, ACircuitThatStaysOpenEndsIt) {
  Charge(account_, 1);
  allowance_.SetSettled(Id(1), 0, 0, {schema::CircuitState::kOpen, 1'000, "503"});
  allowance_.Tick(FromMillis(6'000));
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
  allowance_.Tick(FromMillis(6'001));
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetSettled(Id(1), 0, 0, {});
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
}

TEST_F(AllowanceTest, AnOpenCircuitWithNothingToTryItWithIsFed) {
  Charge(account_, 1);
  allowance_.SetSettled(Id(1), 0, 0, {schema::CircuitState::kOpen, 1'000, "503"});
  allowance_.Tick(FromMillis(60'000));
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetSettled(Id(1), 1, 0, {schema::CircuitState::kOpen, 1'000, "503"});
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
}

TEST_F(AllowanceTest, WhatIsScheduledTakesNoneUpToABoundOfItsOwn) {
  Charge(account_, 20);
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetSettled(Id(1), 0, 20, {});
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
  EXPECT_EQ(allowance_.outstanding(Id(1)), 0);
  Charge(account_, 15);
  allowance_.SetSettled(Id(1), 0, 35, {});
  EXPECT_EQ(allowance_.outstanding(Id(1)), 15);
  EXPECT_TRUE(allowance_.exhausted(Id(1)));
  allowance_.SetSettled(Id(1), 10, 25, {});  // the time of ten came
  EXPECT_FALSE(allowance_.exhausted(Id(1)));
}

TEST_F(AllowanceTest, WhatIsScheduledIsBoundedByBytesAndOrganisation) {
  Charge(account_, 5, 10'000);
  allowance_.SetSettled(Id(1), 0, 5, {});
  EXPECT_EQ(allowance_.outstanding(Id(1)), 0);
  Charge(account_, 10, 10'000);
  allowance_.SetSettled(Id(1), 0, 15, {});
  EXPECT_EQ(allowance_.outstanding(Id(1)), 5);  // 100,000 bytes are ten
  auto& neighbour = allowance_.Open(Id(2), "acme");
  Charge(neighbour, 20);
  allowance_.SetSettled(Id(2), 0, 20, {});
  auto& third = allowance_.Open(Id(3), "acme");
  Charge(third, 8);
  allowance_.SetSettled(Id(3), 0, 8, {});
  EXPECT_EQ(allowance_.outstanding(Id(3)), 8);  // 10 + 20 of acme are scheduled already
  allowance_.Forget(Id(2));
  allowance_.SetSettled(Id(3), 0, 8, {});
  EXPECT_EQ(allowance_.outstanding(Id(3)), 0);
}

TEST_F(AllowanceTest, AnOrganisationAndTheInstallationHaveCaps) {
  for (uint8_t i = 10; i < 13; ++i) Charge(allowance_.Open(Id(i), "acme"), 8);
  EXPECT_FALSE(allowance_.stopped("acme"));
  Charge(account_, 1);
  EXPECT_TRUE(allowance_.stopped("acme"));
  EXPECT_FALSE(allowance_.stopped("other"));
  for (uint8_t i = 20; i < 22; ++i) Charge(allowance_.Open(Id(i), "other"), 8);
  EXPECT_TRUE(allowance_.stopped("other"));
  allowance_.Forget(Id(20));
  EXPECT_FALSE(allowance_.stopped("other"));
}

}  // namespace
}  // namespace dispatch::allowance_test
