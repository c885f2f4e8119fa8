#pragma once

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/kafka/internal/connection.h"
#include "broker-adapters/kafka/internal/handles.h"

namespace dispatch::broker::kafka {

/// librdkafka's own cluster, in this process.
class MockCluster {
 public:
  MockCluster() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char text[256];
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    cluster_ = rd_kafka_mock_cluster_new(rk_, 1);
  }
  ~MockCluster() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(rk_);
  }
  std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  ConnectionPtr Connect(EventLoop& loop) const {
    KafkaOptions options;
    options.brokers = brokers();
    options.client_id = "test";
    return std::make_shared<Connection>(loop, options);
  }
  void Stop() { rd_kafka_mock_broker_set_down(cluster_, 1); }
  /// The next requests for offsets find a broker that goes away.
  void DropOffsetRequests(int count) {
    constexpr int16_t kListOffsets = 2;
    std::vector<rd_kafka_resp_err_t> errors(count, RD_KAFKA_RESP_ERR__TRANSPORT);
    rd_kafka_mock_push_request_errors_array(cluster_, kListOffsets, errors.size(), errors.data());
  }
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

}  // namespace dispatch::broker::kafka
