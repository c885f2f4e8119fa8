#include "broker-adapters/kafka/internal/connection.h"

#include <gtest/gtest.h>

#include <functional>

#include "common/event_loop.h"
#include "common/metrics.h"

namespace dispatch::broker::kafka::connection_test {
namespace {

TEST(ConnectionTest, WhoHasNoHandleIsNotCounted) {
  EventLoop loop;
  KafkaOptions options;
  options.brokers = "127.0.0.1:1";  // nobody is there
  auto connection = std::make_shared<Connection>(loop, options);
  auto told = [](const std::string& value) {
    const std::string sample = "dispatch_kafka_connections{client=\"driver-x\"}";
    return metrics::Serialize().find(sample + value) != std::string::npos;
  };
  std::function<void()> look_again = [&] { loop.After(std::chrono::milliseconds(10), look_again); };
  look_again();  // handles end on a thread of their own
  auto one = Conf(connection, "driver-x").Open(RD_KAFKA_PRODUCER);
  auto other = Conf(connection, "driver-x").Open(RD_KAFKA_CONSUMER);
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_TRUE(told(" 2"));
  *one = nullptr;
  EXPECT_TRUE(loop.RunUntil([&] { return told(" 1"); }, std::chrono::seconds(10)));
  *other = nullptr;
  EXPECT_TRUE(loop.RunUntil([&] { return !told(""); }, std::chrono::seconds(10)));
}

}  // namespace
}  // namespace dispatch::broker::kafka::connection_test
