#include "function-manager/src/domain/trial_run.h"

#include <gtest/gtest.h>

#include "common/testing/simulated_loop.h"
#include "function-manager/src/domain/invocation_partition.h"

namespace dispatch::trial_run_test {
namespace {

using State = Delivery::State;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Notes take a millisecond; what runs ends when the test says so.
class Trials : public ::testing::Test {
 protected:
  DeliveryPtr Suspect(int64_t offset) {
    auto delivery = std::make_shared<Delivery>();
    delivery->id.offset = offset;
    delivery->state = State::kQueued;
    delivery->partition = books_;
    return delivery;
  }
  void End(const DeliveryPtr& delivery) {
    delivery->state = State::kDone;
    run_.Ended(*delivery);
    loop_.RunFor(milliseconds(5));
  }

  testing::SimulatedLoop loop_;
  std::shared_ptr<InvocationPartition> books_ =
      std::make_shared<InvocationPartition>(InvokeClaim{}, OffsetTracker::Limits{});
  bool store_is_up_ = true;
  std::vector<int64_t> noted_;
  std::vector<int64_t> struck_out_;
  std::vector<DeliveryPtr> running_;
  std::vector<DeliveryPtr> left_;
  int over_ = 0;
  int resumed_ = 0;
  TrialRun run_{loop_,
                {.note =
                     [this](const DeliveryPtr& begin, std::vector<TrialRun::Noted> survived,
                            std::function<void(Status)> done) {
                       if (store_is_up_ && begin) noted_.push_back(begin->id.offset);
                       for (auto& [partition, id] : survived) struck_out_.push_back(id.offset);
                       Status status = store_is_up_ ? Status() : Status(Code::kUnavailable, "down");
                       loop_.After(milliseconds(1), [done, status] { done(status); });
                     },
                 .attempt =
                     [this](const DeliveryPtr& delivery) {
                       delivery->state = State::kInFlight;
                       running_.push_back(delivery);
                       return true;
                     },
                 .resume = [this] { ++resumed_; },
                 .over =
                     [this](std::vector<DeliveryPtr> left) {
                       ++over_;
                       left_ = std::move(left);
                     }},
                {}};
};

TEST_F(Trials, OneRunsAtATimeAndIsNotedBefore) {
  run_.Open(seconds(1));
  auto first = Suspect(1);
  auto second = Suspect(2);
  run_.Add(first, false);
  run_.Add(second, false);
  EXPECT_FALSE(run_.blocking()) << "what came later is no suspect";
  EXPECT_EQ(noted_, std::vector<int64_t>{1});
  EXPECT_TRUE(running_.empty()) << "not durable yet";
  loop_.RunFor(milliseconds(5));
  ASSERT_EQ(running_, std::vector<DeliveryPtr>{first});
  End(first);
  EXPECT_EQ(running_.size(), 2u);
  EXPECT_EQ(struck_out_, std::vector<int64_t>{1});
  End(second);
  EXPECT_EQ(over_, 1);
  EXPECT_EQ(struck_out_, (std::vector<int64_t>{1, 2}));
}

TEST_F(Trials, OneThatCrashedBeforeIsFirstAndAlone) {
  run_.Open(seconds(1));
  EXPECT_FALSE(run_.blocking()) << "nothing waits for suspects that do not come";
  auto running = Suspect(1);
  auto noted = Suspect(3);
  run_.Add(running, false);
  run_.Add(Suspect(2), false);
  run_.Add(noted, true);
  EXPECT_TRUE(run_.blocking());
  loop_.RunFor(milliseconds(5));
  End(running);
  EXPECT_EQ(noted_, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(run_.current(), noted.get());
  EXPECT_TRUE(run_.blocking());
  EXPECT_EQ(resumed_, 0);
  End(noted);
  EXPECT_FALSE(run_.blocking());
  EXPECT_EQ(resumed_, 1) << "what waited for it goes on";
}

TEST_F(Trials, OneThatHangsAloneIsNotWaitedFor) {
  run_.Open(seconds(1));
  run_.Add(Suspect(1), true);
  loop_.RunFor(milliseconds(200));
  EXPECT_TRUE(run_.blocking());
  loop_.RunFor(milliseconds(100));
  EXPECT_FALSE(run_.blocking());
}

TEST_F(Trials, WhatWasTriedBeforeIsLast) {
  run_.Open(seconds(1));
  auto tried = Suspect(1);
  tried->attempts = 4;
  run_.Add(Suspect(9), true);
  run_.Add(tried, false);
  run_.Add(Suspect(2), false);
  loop_.RunFor(seconds(1));
  EXPECT_EQ(noted_, (std::vector<int64_t>{9, 2, 1}));
}

TEST_F(Trials, OneThatHangsDoesNotHoldUpTheNext) {
  run_.Open(seconds(1));
  run_.Add(Suspect(1), false);
  run_.Add(Suspect(2), false);
  loop_.RunFor(milliseconds(300));
  EXPECT_EQ(running_.size(), 2u);
  EXPECT_EQ(struck_out_, std::vector<int64_t>{1});
}

TEST_F(Trials, TheyEndWithTheirBudget) {
  run_.Open(seconds(1));
  for (int i = 1; i <= 10; ++i) run_.Add(Suspect(i), false);
  loop_.RunFor(milliseconds(1'100));
  EXPECT_FALSE(run_.blocking());
  EXPECT_FALSE(run_.open());
  EXPECT_EQ(over_, 1);
  EXPECT_EQ(left_.size() + running_.size(), 10u);
  EXPECT_EQ(struck_out_.size(), running_.size()) << "it ran on without ending us";
}

TEST_F(Trials, NothingRunsThatIsNotNoted) {
  store_is_up_ = false;
  run_.Open(seconds(1));
  run_.Add(Suspect(1), true);
  loop_.RunFor(milliseconds(500));
  EXPECT_TRUE(running_.empty());
  EXPECT_TRUE(run_.blocking());
  store_is_up_ = true;
  loop_.RunFor(milliseconds(200));
  EXPECT_EQ(running_.size(), 1u);
  store_is_up_ = false;
  run_.Open(seconds(1));
  run_.Add(Suspect(2), true);
  loop_.RunFor(seconds(2));
  EXPECT_FALSE(run_.blocking()) << "PostgreSQL away does not hold deliveries up for ever";
  EXPECT_EQ(left_.size(), 1u);
}

TEST_F(Trials, ANoteThatComesAfterItsEndBeginsNothing) {
  std::vector<std::function<void(Status)>> notes;
  TrialRun run(loop_,
               {.note =
                    [&](const DeliveryPtr& begin, std::vector<TrialRun::Noted>,
                        std::function<void(Status)> done) {
                      if (begin != nullptr) notes.push_back(std::move(done));
                    },
                .attempt =
                    [this](const DeliveryPtr& delivery) {
                      running_.push_back(delivery);
                      return true;
                    },
                .resume = [] {},
                .over = [](const std::vector<DeliveryPtr>&) {}},
               {});
  run.Open(seconds(1));
  run.Add(Suspect(1), false);
  loop_.RunFor(seconds(2));
  run.Open(seconds(1));
  run.Add(Suspect(2), false);
  ASSERT_EQ(notes.size(), 2u);
  notes[0](Status());
  EXPECT_TRUE(running_.empty()) << "of the other that waits there is no note yet";
  notes[0](Status(Code::kUnavailable, "down"));
  notes[1](Status(Code::kUnavailable, "down"));
  loop_.RunFor(milliseconds(150));
  ASSERT_EQ(notes.size(), 3u) << "it is tried again, once";
  notes[2](Status());
  EXPECT_EQ(running_.size(), 1u);
}

TEST_F(Trials, WhatWentAnotherWayIsPassedOver) {
  run_.Open(seconds(1));
  auto first = Suspect(1);
  auto second = Suspect(2);
  run_.Add(first, false);
  run_.Add(second, false);
  first->state = second->state = State::kSpilled;
  loop_.RunFor(milliseconds(20));
  EXPECT_TRUE(running_.empty());
  EXPECT_FALSE(run_.blocking());
  EXPECT_EQ(struck_out_, std::vector<int64_t>{1});
}

}  // namespace
}  // namespace dispatch::trial_run_test
