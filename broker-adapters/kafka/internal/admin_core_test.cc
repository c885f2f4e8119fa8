#include "broker-adapters/kafka/internal/admin_core.h"

#include <gtest/gtest.h>

#include <optional>

#include "broker-adapters/kafka/internal/mock_cluster.h"
#include "common/event_loop.h"

namespace dispatch::broker::kafka::admin_core_test {
namespace {

class AdminCoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.Create("t");
    core_ = std::make_shared<AdminCore>(cluster_.Connect(loop_));
  }
  void TearDown() override { core_->Close(); }

  Result<std::vector<int64_t>> Ends() {
    std::optional<Result<std::vector<int64_t>>> ends;
    core_->Offsets("t", 2, kLatest, [&](auto told) { ends = std::move(told); });
    loop_.RunUntil([&] { return ends.has_value(); }, std::chrono::seconds(30));
    return ends ? std::move(*ends) : Error{Code::kInternal, "no answer"};
  }

  MockCluster cluster_;
  EventLoop loop_;
  std::shared_ptr<AdminCore> core_;
};

TEST_F(AdminCoreTest, TellsTheOffsetOfEachPartition) {
  cluster_.Produce("t", 1, "a");
  auto ends = Ends();
  ASSERT_TRUE(ends.ok()) << ends.message();
  EXPECT_EQ(*ends, (std::vector<int64_t>{0, 1}));
}

// librdkafka tells of no error then.
TEST_F(AdminCoreTest, ABrokerThatDoesNotAnswerForItsPartitionsIsAnError) {
  ASSERT_TRUE(Ends().ok());
  cluster_.DropOffsetRequests(20);
  auto ends = Ends();
  ASSERT_FALSE(ends.ok()) << "ends at " << ends->front();
  EXPECT_EQ(ends.code(), Code::kUnavailable);
  EXPECT_NE(ends.message().find("offsets of t"), std::string::npos) << ends.message();
}

}  // namespace
}  // namespace dispatch::broker::kafka::admin_core_test
