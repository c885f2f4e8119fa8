#include <gtest/gtest.h>

#include <map>

#include "function-manager/src/domain/circuit_breaker.h"
#include "function-manager/src/domain/endpoint_limit.h"
#include "function-manager/src/domain/fair_queue.h"
#include "function-manager/src/domain/scheduler.h"
#include "function-manager/src/domain/token_bucket.h"

namespace dispatch::scheduling_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr SteadyTime kStart{std::chrono::hours(1)};
const WallTime kWall = FromMillis(1'600'000'000'000);

// ---- token bucket

TEST(TokenBucketTest, LetsItsRateThroughEvenly) {
  TokenBucket bucket(100, seconds(1));
  int taken = 0;
  SteadyTime now = kStart;
  for (; now < kStart + seconds(10); now += milliseconds(1)) {
    while (bucket.MayTake(now)) {
      bucket.Take(now);
      ++taken;
    }
  }
  EXPECT_GE(taken, 1000);
  EXPECT_LE(taken, 1010) << "a tenth of a second's worth at once";
}

TEST(TokenBucketTest, SaysWhenTheNextIs) {
  TokenBucket bucket(1, minutes(1));
  ASSERT_TRUE(bucket.MayTake(kStart));
  bucket.Take(kStart);
  EXPECT_FALSE(bucket.MayTake(kStart + seconds(59)));
  SteadyTime next = bucket.NextAt();
  EXPECT_GE(next, kStart + seconds(60));
  EXPECT_TRUE(bucket.MayTake(next));
}

TEST(TokenBucketTest, AShareOfOneTakesAsMuchLonger) {
  TokenBucket bucket(1, seconds(1));
  bucket.MayTake(kStart);
  bucket.Take(kStart);
  bucket.SetRate(0.25, seconds(1));
  EXPECT_EQ(bucket.NextAt(), kStart + seconds(4));
}

// ---- standing lag

TEST(StandingLagTest, IsWhatStaysAndNotABurst) {
  StandingLag standing;
  SteadyTime now = kStart;
  auto measure = [&](int lag_ms) {
    now += milliseconds(10);
    standing.Measured(now, milliseconds(lag_ms));
  };
  for (int i = 0; i < 100; ++i) {
    measure(i % 9 == 0 ? 1 : 30);
    EXPECT_LE(standing.lag(), milliseconds(1)) << "it was on time a moment ago";
  }
  for (int i = 0; i < 30; ++i) measure(12 + i % 3);
  EXPECT_EQ(standing.lag(), milliseconds(12));
  measure(0);
  EXPECT_EQ(standing.lag(), Duration::zero());
}

TEST(StandingLagTest, WhoDidNothingIsNotLate) {
  StandingLag standing;
  for (int i = 0; i < 30; ++i) standing.Measured(kStart + milliseconds(10 * i), milliseconds(20));
  EXPECT_EQ(standing.lag(), milliseconds(20));
  standing.Measured(kStart + std::chrono::seconds(5), milliseconds(20));
  EXPECT_EQ(standing.lag(), Duration::zero()) << "the first after a pause";
}

// ---- endpoint limit

using Sign = EndpointLimit::Sign;

// One round trip with every place used.
void Round(EndpointLimit& limit, SteadyTime& now, Sign sign) {
  int started = 0;
  for (; limit.MayStart(); ++started) limit.Started();
  SteadyTime before = now;
  now += milliseconds(10);
  for (; started > 0; --started) limit.Ended(before, now, sign);
}

TEST(EndpointLimitTest, IsCutOnceARoundTripAndNeverBelowOne) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  Round(limit, now, Sign::kOverloaded);
  EXPECT_EQ(limit.limit(), 256);
  Round(limit, now, Sign::kOverloaded);
  EXPECT_EQ(limit.limit(), 128);
  for (int i = 0; i < 20; ++i) Round(limit, now, Sign::kOverloaded);
  EXPECT_EQ(limit.limit(), 1);
  EXPECT_TRUE(limit.MayStart());
}

TEST(EndpointLimitTest, GrowsQuicklyAtFirstThenByOneARoundTrip) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  for (int i = 0; i < 20; ++i) Round(limit, now, Sign::kOverloaded);
  for (int i = 0; i < 6; ++i) Round(limit, now, Sign::kGood);
  EXPECT_GE(limit.limit(), 32);
  int before = limit.limit();
  for (int i = 0; i < 10; ++i) Round(limit, now, Sign::kGood);
  EXPECT_NEAR(limit.limit(), before + 10, 2);
}

TEST(EndpointLimitTest, AnUnusedLimitStays) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  for (int i = 0; i < 1000; ++i) {
    limit.Started();
    limit.Ended(now, now + milliseconds(1), Sign::kGood);
  }
  EXPECT_EQ(limit.limit(), 512);
  limit.Started();
  limit.Ended(now, now + milliseconds(1), Sign::kOverloaded);
  EXPECT_EQ(limit.limit(), 1) << "no more than was under way is known to be too much";
}

TEST(EndpointLimitTest, OtherFaultsSayNothing) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  for (int i = 0; i < 20; ++i) Round(limit, now, Sign::kNeither);
  EXPECT_EQ(limit.limit(), 512);
}

// One round trip of `took` with every place used, while our loop is `lag` late.
void LaggingRound(EndpointLimit& limit, SteadyTime& now, Duration took, Duration lag) {
  int started = 0;
  for (; limit.MayStart(); ++started) limit.Started();
  SteadyTime before = now;
  now += took;
  for (; started > 0; --started) limit.Ended(before, now, Sign::kGood, lag);
}

TEST(EndpointLimitTest, WhatOnlyWaitsInOurLoopIsNotStarted) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  // 25 us of work each: what is under way makes the lag.
  for (int i = 0; i < 50; ++i) {
    Duration lag = std::chrono::microseconds(25) * limit.limit();
    LaggingRound(limit, now, lag + std::chrono::milliseconds(1), lag);
  }
  EXPECT_GE(limit.limit(), 350);
  EXPECT_LE(limit.limit(), 450) << "10 ms of work are 400";
  for (int i = 0; i < 50; ++i) LaggingRound(limit, now, milliseconds(40), milliseconds(20));
  EXPECT_EQ(limit.limit(), 32) << "no deeper";
}

TEST(EndpointLimitTest, OurLagCostsASlowEndpointNothing) {
  EndpointLimit limit;
  SteadyTime now = kStart;
  for (int i = 0; i < 10; ++i) LaggingRound(limit, now, std::chrono::seconds(10), milliseconds(20));
  EXPECT_GE(limit.limit(), 490);
}

// ---- circuit breaker

using enum CircuitBreaker::Answer;

struct Circuit {
  CircuitBreaker breaker;
  SteadyTime now = kStart;

  void Answer(bool good) { Answer(good ? kGood : kFailed); }
  void Answer(CircuitBreaker::Answer answer) {
    int64_t probe = breaker.Started();
    breaker.Ended(probe, answer, "503 from http://h", now, kWall, 0.5);
  }
  CircuitBreaker::State state() const { return breaker.state(now); }
};

TEST(CircuitBreakerTest, OpensWhenHalfOfTwentyAnswersAreBad) {
  Circuit c;
  for (int i = 0; i < 10; ++i) c.Answer(true);
  for (int i = 0; i < 9; ++i) c.Answer(false);
  EXPECT_EQ(c.state(), CircuitBreaker::State::kClosed);
  c.Answer(false);
  EXPECT_EQ(c.state(), CircuitBreaker::State::kOpen);
  EXPECT_FALSE(c.breaker.MayStart(c.now));
  EXPECT_EQ(c.breaker.reason(), "503 from http://h since 12:26:40Z");
  EXPECT_EQ(c.breaker.since(), kWall);
}

TEST(CircuitBreakerTest, WhatIsLongAgoDoesNotCount) {
  Circuit c;
  for (int i = 0; i < 100; ++i) {
    c.Answer(false);
    c.now += seconds(1);
  }
  EXPECT_EQ(c.state(), CircuitBreaker::State::kClosed);
}

TEST(CircuitBreakerTest, ProbesOneThenMoreThenCloses) {
  Circuit c;
  for (int i = 0; i < 20; ++i) c.Answer(false);
  c.now = c.breaker.probe_at();
  EXPECT_EQ(c.state(), CircuitBreaker::State::kHalfOpen);
  ASSERT_TRUE(c.breaker.MayStart(c.now));
  int64_t first = c.breaker.Started();
  EXPECT_FALSE(c.breaker.MayStart(c.now)) << "one probe";
  c.breaker.Ended(first, kGood, "", c.now, kWall, 0.5);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(c.state(), CircuitBreaker::State::kHalfOpen);
    c.Answer(true);
  }
  EXPECT_EQ(c.state(), CircuitBreaker::State::kClosed);
  EXPECT_TRUE(c.breaker.reason().empty());
}

TEST(CircuitBreakerTest, HoldsDoubleUpToACapAndKeepTheirBeginning) {
  Circuit c;
  for (int i = 0; i < 20; ++i) c.Answer(false);
  EXPECT_EQ(c.breaker.hold(), seconds(1));
  for (auto hold : {2, 3, 3}) {
    c.now = c.breaker.probe_at();
    c.Answer(false);
    EXPECT_EQ(c.breaker.hold(), seconds(hold));
    EXPECT_EQ(c.breaker.probe_at(), c.now + seconds(hold)) << "random 0.5: no jitter";
  }
  EXPECT_EQ(c.breaker.since(), kWall);
}

// An endpoint that refuses a quarter of the events for good, and was away for a while.
TEST(CircuitBreakerTest, SomeRefusalsDoNotKeepItOpen) {
  Circuit c;
  for (int i = 0; i < 20; ++i) c.Answer(false);
  c.now = c.breaker.probe_at();
  for (auto answer : {kRefused, kGood, kGood, kGood, kRefused, kGood, kGood}) {
    ASSERT_EQ(c.state(), CircuitBreaker::State::kHalfOpen);
    ASSERT_TRUE(c.breaker.MayStart(c.now));
    c.Answer(answer);
  }
  EXPECT_EQ(c.state(), CircuitBreaker::State::kClosed);
}

TEST(CircuitBreakerTest, NothingButRefusalsDo) {
  Circuit c;
  for (int i = 0; i < 20; ++i) c.Answer(kRefused);
  c.now = c.breaker.probe_at();
  c.Answer(kRefused);
  EXPECT_EQ(c.state(), CircuitBreaker::State::kHalfOpen);
  c.Answer(kRefused);
  EXPECT_EQ(c.state(), CircuitBreaker::State::kOpen);
  EXPECT_EQ(c.breaker.hold(), seconds(2));
}

TEST(CircuitBreakerTest, AnswersFromBeforeItOpenedAreNoProbes) {
  Circuit c;
  int64_t early = c.breaker.Started();
  for (int i = 0; i < 20; ++i) c.Answer(false);
  c.now = c.breaker.probe_at();
  int64_t probe = c.breaker.Started();
  c.breaker.Ended(early, kFailed, "timeout", c.now, kWall, 0.5);
  EXPECT_EQ(c.state(), CircuitBreaker::State::kHalfOpen);
  c.breaker.Ended(probe, kGood, "", c.now, kWall, 0.5);
  EXPECT_TRUE(c.breaker.MayStart(c.now));
}

// ---- fair queue

TEST(FairQueueTest, OrganisationsShareWhateverTheirLanes) {
  FairQueue queue;
  struct Member : FairQueue::Member {
    int index = 0;
  };
  std::vector<Member> members(11);
  for (int i = 0; i < 11; ++i) {
    members[i].index = i;
    queue.Join(members[i], i < 10 ? "many" : "one");
    queue.Enter(members[i]);
  }
  std::map<int, int> picks;
  for (int i = 0; i < 10'000; ++i) {
    auto* next = static_cast<Member*>(queue.Next());
    ++picks[next->index];
    queue.Charge(*next, milliseconds(10));
  }
  EXPECT_NEAR(picks[10], 5000, 50);
  for (int i = 0; i < 10; ++i) EXPECT_NEAR(picks[i], 500, 20);
}

TEST(FairQueueTest, SlotTimeIsSharedNotAttempts) {
  FairQueue queue;
  FairQueue::Member slow;
  FairQueue::Member quick;
  for (auto* m : {&slow, &quick}) {
    queue.Join(*m, "o");
    queue.Enter(*m);
  }
  int slow_picks = 0;
  int quick_picks = 0;
  for (int i = 0; i < 11'000; ++i) {
    auto* next = queue.Next();
    ++(next == &slow ? slow_picks : quick_picks);
    queue.Charge(*next, next == &slow ? milliseconds(100) : milliseconds(10));
  }
  EXPECT_NEAR(slow_picks, 1000, 50);
  EXPECT_NEAR(quick_picks, 10'000, 50);
}

TEST(FairQueueTest, WhoLeavesIsNotPickedAndWhoPartsIsForgotten) {
  FairQueue queue;
  FairQueue::Member a;
  FairQueue::Member b;
  queue.Join(a, "o");
  queue.Join(b, "p");
  queue.Enter(a);
  queue.Enter(b);
  queue.Leave(a);
  EXPECT_EQ(queue.Next(), &b);
  queue.Part(b);
  EXPECT_EQ(queue.Next(), nullptr);
  queue.Enter(a);
  EXPECT_EQ(queue.Next(), &a);
}

// ---- scheduler

class SchedulerTest : public ::testing::Test {
 protected:
  std::shared_ptr<schema::Subscription> Make(uint8_t n, const std::string& org = "acme") {
    auto s = std::make_shared<schema::Subscription>();
    s->uuid.bytes[0] = n;
    s->org = org;
    s->name = "s" + std::to_string(n);
    return s;
  }
  Lane& Add(const std::shared_ptr<schema::Subscription>& s, int queued) {
    Lane& lane = scheduler_.Update(s, schema::Sink{"http://" + s->name + "/x?k=1", {}, {}});
    for (int i = 0; i < queued; ++i) {
      auto delivery = std::make_shared<Delivery>();
      delivery->state = Delivery::State::kQueued;
      scheduler_.Push(lane, delivery);
    }
    return lane;
  }
  // Starts all that may start; how many of each lane.
  std::map<std::string, int> Start() {
    std::map<std::string, int> started;
    while (Lane* lane = scheduler_.Next(now_)) {
      lane->queue.pop_front();
      tickets_[lane->subscription->name].push_back(scheduler_.Started(*lane, now_));
      ++started[lane->subscription->name];
    }
    return started;
  }
  void End(Lane& lane, int count, int status) {
    auto& tickets = tickets_[lane.subscription->name];
    for (; count > 0; --count) {
      Answer answer;
      answer.status = status;
      scheduler_.Ended(lane, tickets.back(), answer, status == 200 ? "" : "why", now_, kWall);
      tickets.pop_back();
    }
  }

  SteadyTime now_ = kStart;
  Scheduler scheduler_{[] { return 0.5; }, {}};
  std::map<std::string, std::vector<Scheduler::Ticket>> tickets_;
};

TEST_F(SchedulerTest, ALaneHasItsOwnLimit) {
  auto s = Make(1);
  s->max_in_flight = 3;
  Lane& lane = Add(s, 10);
  EXPECT_EQ(Start()["s1"], 3);
  End(lane, 1, 200);
  EXPECT_EQ(Start()["s1"], 1);
}

TEST_F(SchedulerTest, HangingLanesLeavePlacesForOthers) {
  for (uint8_t n = 1; n <= 50; ++n) Add(Make(n), 5000);
  Start();
  auto last = Make(99);
  Add(last, 100);
  EXPECT_GE(Start()["s99"], 4) << "none of the others ever ends";
  auto other = Make(100, "other");
  Add(other, 100);
  EXPECT_GE(Start()["s100"], 4);
}

TEST_F(SchedulerTest, AnOverloadedEndpointGetsFewerAtOnce) {
  Lane& lane = Add(Make(1), 5000);
  int first = Start()["s1"];
  EXPECT_EQ(first, 512);
  now_ += milliseconds(10);
  End(lane, 10, 503);  // too few to open the circuit
  EXPECT_EQ(lane.endpoint->limit.limit(), 256);
  EXPECT_EQ(Start().count("s1"), 0u);
}

TEST_F(SchedulerTest, LanesOfOneEndpointShareItsLimit) {
  auto a = Make(1);
  auto b = Make(2);
  schema::Sink sink{"http://same/", {}, {}};
  Lane& first = scheduler_.Update(a, sink);
  Lane& second = scheduler_.Update(b, sink);
  EXPECT_EQ(first.endpoint, second.endpoint);
  auto foreign = Make(3, "other");
  EXPECT_NE(scheduler_.Update(foreign, sink).endpoint, first.endpoint)
      << "one organisation's failures do not slow another's";
}

TEST_F(SchedulerTest, AnOpenCircuitIsProbedWhenItsHoldIsOver) {
  Lane& lane = Add(Make(1), 5000);
  Start();
  End(lane, 512, 500);
  EXPECT_EQ(lane.circuit.state(now_), CircuitBreaker::State::kOpen);
  EXPECT_EQ(Start().count("s1"), 0u);
  ASSERT_TRUE(scheduler_.wake_at());
  now_ = *scheduler_.wake_at();
  scheduler_.Wake(now_);
  EXPECT_EQ(Start()["s1"], 1);
  for (int i = 0; i < 5; ++i) {
    End(lane, 1, 200);
    Start();
  }
  EXPECT_EQ(lane.circuit.state(now_), CircuitBreaker::State::kClosed);
}

TEST_F(SchedulerTest, ANewSinkStartsWithAClosedCircuit) {
  Lane& lane = Add(Make(1), 100);
  Start();
  End(lane, 100, 404);
  EXPECT_EQ(lane.circuit.state(now_), CircuitBreaker::State::kOpen);
  auto moved = Make(1);
  scheduler_.Update(moved, schema::Sink{"http://elsewhere/", {}, {}});
  EXPECT_EQ(lane.circuit.state(now_), CircuitBreaker::State::kClosed);
}

TEST_F(SchedulerTest, ARateIsSharedAmongInstances) {
  auto s = Make(1);
  s->rate_limit = schema::RateLimit{10, seconds(1)};
  Add(s, 100);
  scheduler_.SetShare(0.5);
  int started = 0;
  for (SteadyTime end = now_ + seconds(10); now_ < end;) {
    started += Start()["s1"];
    ASSERT_TRUE(scheduler_.wake_at());
    now_ = *scheduler_.wake_at();
    scheduler_.Wake(now_);
  }
  EXPECT_NEAR(started, 50, 2);
}

TEST_F(SchedulerTest, ALaneCanGoWhileItWaits) {
  Lane& lane = Add(Make(1), 5000);
  Start();
  End(lane, 512, 500);
  Start();
  scheduler_.Remove(lane.subscription->uuid);
  EXPECT_FALSE(scheduler_.wake_at());
  EXPECT_EQ(scheduler_.Next(now_), nullptr);
}

}  // namespace
}  // namespace dispatch::scheduling_test
