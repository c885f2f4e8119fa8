#include "broker-adapters/kafka/internal/reader_core.h"

#include <gtest/gtest.h>

#include "broker-adapters/kafka/internal/mock_cluster.h"
#include "common/event_loop.h"

namespace dispatch::broker::kafka::reader_core_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One whose librdkafka can be made to fetch a partition no more, and say nothing.
class Stalling : public ReaderCore {
 public:
  using ReaderCore::ReaderCore;
  void Stall(const TopicPartition& tp) {
    stalls_.push_back(tp);
    PauseBehind();
  }
  // Also what is fetched anew stalls again, on this handle.
  void StallForGood() { for_good_ = rd_kafka_name(rk_.get()); }

 private:
  void OnTurn() override {
    ReaderCore::OnTurn();
    if (rk_ && for_good_ == rd_kafka_name(rk_.get())) PauseBehind();
  }
  void PauseBehind() {
    if (!rk_) return;
    ListPtr list = MakeList(stalls_);
    rd_kafka_pause_partitions(rk_.get(), list.get());
  }

  std::vector<TopicPartition> stalls_;
  std::string for_good_;  // the handle's name
};

class ReaderCoreTest : public ::testing::Test, public Reader::Listener {
 protected:
  void SetUp() override {
    cluster_.Create("t");
    connection_ = cluster_.Connect(loop_);
    core_ = std::make_shared<Stalling>(connection_, ReaderSettings{.client_id = "test",
                                                                   .max_prefetch_bytes = 1 << 20,
                                                                   .watch = milliseconds(500)});
    core_->Open();
    core_->Add(port_, {"t", 0}, 0);
    core_->Add(port_, {"t", 1}, 0);
  }
  void TearDown() override { core_->Leave(port_); }

  void OnRecords(std::vector<Record> records) override {
    for (auto& record : records) read_.push_back(*record.value);
  }
  void OnEnd(const TopicPartition&, int64_t) override {}
  void OnPartitionError(const TopicPartition&, const Error& error) override {
    ADD_FAILURE() << error.message;
  }
  bool Reads(size_t count) {
    return loop_.RunUntil([&] { return read_.size() >= count; }, seconds(30)) &&
           read_.size() == count;
  }

  MockCluster cluster_;
  EventLoop loop_;
  ConnectionPtr connection_;
  PortPtr port_ = std::make_shared<Port>(this);
  std::shared_ptr<Stalling> core_;
  std::vector<std::string> read_;
};

TEST_F(ReaderCoreTest, OnePartitionThatStandsStillIsFetchedAnew) {
  cluster_.Produce("t", 0, "a");
  cluster_.Produce("t", 1, "b");
  ASSERT_TRUE(Reads(2));
  core_->Stall({"t", 0});
  cluster_.Produce("t", 0, "c");
  EXPECT_TRUE(Reads(3));
  cluster_.Produce("t", 1, "d");
  cluster_.Produce("t", 0, "e");
  EXPECT_TRUE(Reads(5)) << "and nothing is read twice";
}

TEST_F(ReaderCoreTest, OneThatIsAskedForAgainDoesNotStandStill) {
  for (const char* value : {"a", "b"}) cluster_.Produce("t", 0, value);
  ASSERT_TRUE(Reads(2));
  core_->Stall({"t", 0});
  for (int i = 0; i < 30; ++i) {
    core_->Remove({"t", 0});
    core_->Add(port_, {"t", 0}, 1);
    core_->Stall({"t", 0});
    loop_.RunUntil([] { return false; }, milliseconds(100));
  }
  EXPECT_EQ(read_.size(), 2u) << "it was fetched anew";
  EXPECT_TRUE(Reads(3));
}

TEST_F(ReaderCoreTest, AHandleThatStandsStillIsOpenedAnew) {
  cluster_.Produce("t", 0, "a");
  ASSERT_TRUE(Reads(1));
  core_->Stall({"t", 0});
  core_->StallForGood();
  cluster_.Produce("t", 0, "b");
  EXPECT_TRUE(Reads(2));
}

TEST_F(ReaderCoreTest, AHandleWithoutBrokersIsOpenedAnew) {
  cluster_.Produce("t", 0, "a");
  ASSERT_TRUE(Reads(1));
  // Where the handle does not look.
  MockCluster elsewhere;
  elsewhere.Create("t");
  for (const char* value : {"a", "b"}) elsewhere.Produce("t", 0, value);
  connection_->options.brokers = elsewhere.brokers();
  cluster_.Stop();
  EXPECT_TRUE(Reads(2));
  EXPECT_EQ(read_.back(), "b");
}

}  // namespace
}  // namespace dispatch::broker::kafka::reader_core_test
