#include "broker-adapters/kafka/internal/reader_core.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka_mock.h>

#include "common/event_loop.h"

namespace dispatch::broker::kafka::reader_core_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// librdkafka's own cluster, in this process.
class Cluster {
 public:
  Cluster() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char text[256];
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    cluster_ = rd_kafka_mock_cluster_new(rk_, 1);
  }
  ~Cluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(rk_);
  }
  std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  void Create(const std::string& topic) {
    rd_kafka_mock_topic_create(cluster_, topic.c_str(), 2, 1);
  }
  void Produce(const std::string& topic, int32_t partition, const std::string& value) {
    if (!producer_) {
      rd_kafka_conf_t* conf = rd_kafka_conf_new();
      char text[256];
      rd_kafka_conf_set(conf, "bootstrap.servers", brokers().c_str(), text, sizeof text);
      producer_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text));
    }
    ASSERT_EQ(rd_kafka_producev(producer_.get(), RD_KAFKA_V_TOPIC(topic.c_str()),
                                RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(rd_kafka_flush(producer_.get(), 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

 private:
  rd_kafka_t* rk_;
  rd_kafka_mock_cluster_t* cluster_;
  std::unique_ptr<rd_kafka_t, Deleter<rd_kafka_destroy>> producer_;
};

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
    KafkaOptions options;
    options.brokers = cluster_.brokers();
    options.client_id = "test";
    auto connection = std::make_shared<Connection>(loop_, options);
    core_ = std::make_shared<Stalling>(connection, ReaderSettings{.client_id = "test",
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

  Cluster cluster_;
  EventLoop loop_;
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

}  // namespace
}  // namespace dispatch::broker::kafka::reader_core_test
