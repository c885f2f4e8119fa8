#include "event-manager/src/domain/lag_session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::lag_session_test {
namespace {

using std::chrono::seconds;
using Offsets = std::vector<int64_t>;

const broker::TopicPartition kPartition{"acme.orders", 0};

/// A partition of ten events, whose shared reader stands still; what is matched is written at once.
class LagSessionTest : public ::testing::Test, private LagSession::Host {
 protected:
  LagSessionTest() {
    broker_->admin().CreateTopic({kPartition.topic, 1, 1, {}}, [](const Status&) {});
    loop_.RunFor(seconds(1));
    auto producer = broker_->NewProducer({});
    for (int i = 0; i < 10; ++i) {
      broker::ProduceRecord record;
      record.topic = kPartition.topic;
      record.partition = 0;
      record.value = "event";
      EXPECT_TRUE(producer->Produce(std::move(record), [](Result<broker::Position>) {}).ok());
    }
    loop_.RunFor(seconds(1));
    subscription_.bytes[0] = 1;
    replay_.bytes[0] = 2;
  }

  /// One member, which was read up to `position`; an owner before may have read it up to `reach`.
  void Start(int64_t position, int64_t reach) {
    schema::MatchCheckpoint::Session state;
    state.position = position;
    state.granted = 100;
    state.members.push_back({subscription_, 1, 0, std::nullopt});
    if (replay_end_ != kForever) state.members.push_back({replay_, 1, 0, std::nullopt});
    LagSession::Host& host = *this;
    session_ = std::make_unique<LagSession>(*broker_, loop_, host, state, OffsetTracker::Limits{},
                                            true, reach);
    session_->Start();
    loop_.RunFor(seconds(1));
  }

  int64_t live_next_ = 0;
  bool ours_ = true;
  bool feed_ = true;
  int turns_ = 1'000;
  std::function<void()> again_;
  int64_t replay_end_ = kForever;  // there is a replay, up to here; then there is no allowance
  int holds_ = 0;
  Offsets matched_;
  Offsets handed_over_;
  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("test");
  std::unique_ptr<LagSession> session_;

 private:
  broker::TopicPartition topic_partition() const override { return kPartition; }
  int64_t live_next() const override { return live_next_; }
  bool HandOver(const LagSession::Member&, int64_t offset) override {
    handed_over_.push_back(offset);
    return true;
  }
  int64_t EndOf(const LagSession::Member& member) const override {
    return member.subscription == replay_ ? replay_end_ : kForever;
  }
  void Ended(const LagSession::Member&, int64_t) override { feed_ = false; }
  void MatchLagging(const broker::Record& record, const LagSession& session,
                    std::function<void()> done) override {
    if (session.Serves(subscription_, record.offset)) matched_.push_back(record.offset);
    done();
  }
  void HoldLive(bool hold) override { holds_ += hold ? 1 : -1; }
  void SessionLost(const LagSession&, int64_t, int64_t) override {}
  void SessionMoved() override {}
  bool MayFeed(const LagSession&) const override { return feed_; }
  bool TakeTurn(std::function<void()> again) override {
    if (turns_ > 0) {
      --turns_;
      return true;
    }
    again_ = std::move(again);
    return false;
  }
  const GrantLimits& grants() const override { return grants_; }
  bool MayRead() const override { return ours_; }
  void CheckpointSoon() override {}

  Uuid subscription_;
  Uuid replay_;
  GrantLimits grants_;
};

TEST_F(LagSessionTest, HandsOverWhereItMeetsTheSharedReader) {
  live_next_ = 7;
  Start(2, 0);
  EXPECT_EQ(matched_, (Offsets{2, 3, 4, 5, 6}));
  EXPECT_EQ(handed_over_, (Offsets{7}));
}

/// A session may be further than the shared reader when its owner dies. What it wrote comes again
/// under its own stream, or function-manager could not tell that it is a repeat.
TEST_F(LagSessionTest, WritesAgainAllThatAnOwnerBeforeMayHaveWritten) {
  live_next_ = 4;
  Start(2, 7);
  EXPECT_EQ(matched_, (Offsets{2, 3, 4, 5, 6}));
  EXPECT_EQ(handed_over_, (Offsets{7}));
}

TEST_F(LagSessionTest, TakesWhatItMayBesideWhatIsLive) {
  live_next_ = 2'000;
  turns_ = 3;
  Start(0, 0);
  EXPECT_EQ(matched_, (Offsets{0, 1, 2}));
  turns_ = 2;
  session_->Continue();  // for another reason
  EXPECT_EQ(matched_.size(), 3u);
  again_();
  EXPECT_EQ(matched_, (Offsets{0, 1, 2, 3, 4}));
  // Close to the shared reader, which waits: all at once.
  live_next_ = 10;
  again_();
  session_->Continue();
  loop_.RunFor(seconds(1));
  EXPECT_EQ(matched_.size(), 10u);
  EXPECT_EQ(handed_over_, (Offsets{10}));
}

TEST_F(LagSessionTest, TakesNothingWhileThePartitionMayBeSomebodyElses) {
  live_next_ = 7;
  ours_ = false;
  Start(2, 0);
  EXPECT_EQ(matched_, Offsets{});
  ours_ = true;
  session_->Continue();
  loop_.RunFor(seconds(1));
  EXPECT_EQ(matched_, (Offsets{2, 3, 4, 5, 6}));
  EXPECT_EQ(handed_over_, (Offsets{7}));
}

/// A session that is parked while the end of a member is not durable yet: what holds the shared
/// reader has to let it go when it is, or neither would ever go on.
TEST_F(LagSessionTest, HoldsNobodyWhileItIsParked) {
  live_next_ = 8;
  replay_end_ = 5;
  Start(0, 0);
  EXPECT_EQ(matched_, (Offsets{0, 1, 2, 3, 4}));
  EXPECT_EQ(holds_, 1);
  session_->Park();
  EXPECT_EQ(holds_, 1) << "the end is not durable";
  session_->Snapshot();
  session_->Saved();
  EXPECT_EQ(holds_, 0);
}

}  // namespace
}  // namespace dispatch::lag_session_test
