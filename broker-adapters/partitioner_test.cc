#include "broker-adapters/partitioner.h"

#include <gtest/gtest.h>

namespace dispatch::partitioner_test {
namespace {

// The vectors of Apache Kafka's UtilsTest.testMurmur2.
TEST(Partitioner, AgreesWithKafka) {
  auto hash = [](std::string_view text) { return static_cast<int32_t>(broker::Murmur2(text)); };
  EXPECT_EQ(hash("21"), -973932308);
  EXPECT_EQ(hash("foobar"), -790332482);
  EXPECT_EQ(hash("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(hash("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(hash("abc"), 479470107);
}

TEST(Partitioner, StaysInRange) {
  for (int i = 0; i < 1000; ++i) {
    int32_t partition = broker::PartitionForKey(std::to_string(i), 7);
    EXPECT_GE(partition, 0);
    EXPECT_LT(partition, 7);
  }
  EXPECT_EQ(broker::PartitionForKey("", 1), 0);
}

}  // namespace
}  // namespace dispatch::partitioner_test
