#include "event-manager/src/adapters/drivers/kafka_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker-adapters/kafka/internal/mock_cluster.h"
#include "broker-adapters/kafka/kafka_broker.h"
#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::kafka_driver_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// Takes events as a topic would.
class Host : public DriverHost {
 public:
  explicit Host(EventLoop& loop) : loop_(loop) {}

  Loop& loop() override { return loop_; }
  void Publish(cloudevents::Event event, std::function<void(Status)> done) override {
    published.push_back(*event.Find("id"));
    loop_.Post([done = std::move(done)] { done({}); });
  }
  void SavePosition(json::object, std::function<void(Status)> done) override {
    loop_.Post([done = std::move(done)] { done({}); });
  }
  void Log(const std::string&, std::string) override {}
  void Ready() override {}
  void Fail(std::string why) override { reason = std::move(why); }

  std::vector<std::string> published;
  std::string reason;

 private:
  EventLoop& loop_;
};

class KafkaDriverTest : public ::testing::Test {
 protected:
  KafkaDriverTest() {
    for (auto* cluster : {&own_, &other_}) {
      cluster->Create("orders");
      cluster->Produce("orders", 0, "x");
    }
  }
  std::unique_ptr<broker::Broker> Own() {
    return broker::ConnectKafka(loop_, {.brokers = own_.brokers(), .client_id = "test"}).value();
  }
  void Read(broker::Broker& own, const std::string& brokers) {
    DriverSetup setup;
    setup.claimed.org = "acme";
    setup.claimed.name = "d";
    setup.config = {{"brokers", brokers}, {"source", "orders"}};
    KafkaDriver driver(host_, loop_, own, {.allow_private = true}, std::move(setup));
    auto settled = [this] {
      away_.RunFor(1s);
      return !host_.published.empty() || !host_.reason.empty();
    };
    ASSERT_TRUE(loop_.RunUntil(settled, 20s));
  }

  broker::kafka::MockCluster own_;
  broker::kafka::MockCluster other_;
  EventLoop loop_;
  testing::SimulatedLoop away_;
  Host host_{loop_};
};

TEST_F(KafkaDriverTest, ReadsAnyTopicOfAnotherCluster) {
  Read(*Own(), other_.brokers());
  EXPECT_EQ(host_.reason, "");
  EXPECT_EQ(host_.published.size(), 1u);
}

TEST_F(KafkaDriverTest, RefusesItsOwnClusterByWhateverName) {
  Read(*Own(), own_.brokers() + "," + own_.brokers());
  EXPECT_THAT(host_.reason, HasSubstr("those of this installation"));
  EXPECT_TRUE(host_.published.empty());
}

TEST_F(KafkaDriverTest, ReadsNothingWhenItCannotTellWhoseClusterItIs) {
  broker::MemoryCluster stopped(away_, 1);
  auto own = stopped.Connect("test");
  stopped.set_down(true);
  Read(*own, other_.brokers());
  EXPECT_THAT(host_.reason, HasSubstr("cannot tell"));
  EXPECT_TRUE(host_.published.empty());
}

}  // namespace
}  // namespace dispatch::kafka_driver_test
