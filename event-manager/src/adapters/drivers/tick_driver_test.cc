#include "event-manager/src/adapters/drivers/tick_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::tick_driver_test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kTopic[] = "acme.events";
const broker::TopicPartition kFirst{kTopic, 0};

/// Has the position and the lease of one driver, and publishes to a topic.
class Host : public DriverHost {
 public:
  Host(Loop& loop, broker::Broker& broker) : loop_(loop), producer_(broker.NewProducer({})) {}

  Loop& loop() override { return loop_; }
  void Publish(cloudevents::Event event, std::function<void(Status)> done) override {
    if (dies_before_publishing) return;
    schema::EventData data = cloudevents::ToKafka(std::move(event));
    Status queued = producer_->Produce({kTopic, 0, data.key, data.value, data.headers},
                                       [this, done](const Result<broker::Position>& position) {
                                         if (!dies_after_publishing) done(position.status());
                                       });
    ASSERT_TRUE(queued.ok());
  }
  void SavePosition(json::object given, std::function<void(Status)> done) override {
    position = std::move(given);
    loop_.Post([done = std::move(done)] { done({}); });
  }
  void Log(const std::string&, std::string) override {}
  void Ready() override {}
  void Fail(std::string reason) override { failures.push_back(std::move(reason)); }

  bool dies_before_publishing = false;
  bool dies_after_publishing = false;
  json::object position;
  std::vector<std::string> failures;

 private:
  Loop& loop_;
  std::unique_ptr<broker::Producer> producer_;
};

class TickDriverTest : public ::testing::Test {
 protected:
  TickDriverTest() {
    broker_->admin().CreateTopic({kTopic, 2, 1, {}}, [](const Status&) {});
    loop_.RunFor(1s);
  }
  /// One life of a driver: it begins where the last one left it.
  void Live(Duration span, DriverConfig config = {{"seconds", "3600"}}) {
    DriverSetup setup;
    setup.claimed.org = "acme";
    setup.claimed.name = "t";
    setup.claimed.position = host_.position;
    setup.config = std::move(config);
    setup.topic = kTopic;
    TickDriver driver(host_, *broker_, std::move(setup));
    loop_.RunFor(span);
  }
  std::vector<std::string> Ids() const {
    std::vector<std::string> ids;
    for (const auto& record : cluster_.Log(kFirst)) ids.push_back(*record.FindHeader("ce_id"));
    return ids;
  }

  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};
  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("test");
  Host host_{loop_, *broker_};
};

TEST_F(TickDriverTest, ATickThatRetentionTookDoesNotComeAgain) {
  Live(1h + 1s);
  ASSERT_EQ(Ids().size(), 1u);
  cluster_.Truncate(kFirst, 1);
  Live(1min);
  EXPECT_THAT(Ids(), IsEmpty());
  Live(1h);
  EXPECT_EQ(Ids().size(), 1u);
  EXPECT_THAT(host_.failures, IsEmpty());
}

TEST_F(TickDriverTest, ATickThatWasWrittenByWhoDiedDoesNotComeAgain) {
  host_.dies_after_publishing = true;
  Live(1h + 1s);
  ASSERT_EQ(Ids().size(), 1u);
  host_.dies_after_publishing = false;
  Live(1min);
  EXPECT_EQ(Ids().size(), 1u);
}

TEST_F(TickDriverTest, ATickThatWasOnlyClaimedComesOnceAfterAnyTime) {
  host_.dies_before_publishing = true;
  Live(1h + 1s);
  loop_.RunFor(24h);
  host_.dies_before_publishing = false;
  host_.dies_after_publishing = true;
  Live(1min, {{"seconds", "3600"}, {"catch-up", "0"}});
  host_.dies_after_publishing = false;
  ASSERT_EQ(Ids().size(), 1u);
  Live(1min, {{"seconds", "3600"}, {"catch-up", "0"}});
  EXPECT_EQ(Ids().size(), 1u);
}

class EventSearchTest : public TickDriverTest {
 protected:
  void Write(const std::string& id) {
    ASSERT_TRUE(writer_->Produce({kTopic, 0, {}, "x", {{"ce_id", id}}}, [](const auto&) {}).ok());
    loop_.RunFor(1s);
  }
  int64_t Now() const { return ToMillis(loop_.Now()); }
  Result<bool> Search(int64_t since_ms, int64_t until_ms) {
    EventSearch search(*broker_, loop_, kTopic, "wanted");
    std::optional<Result<bool>> found;
    search.Start(since_ms, until_ms, [&](Result<bool> outcome) { found = std::move(outcome); });
    EXPECT_TRUE(loop_.RunUntil([&] { return found.has_value(); }, 30min));
    return found.value_or(Error{Code::kInternal, "no answer"});
  }

  std::unique_ptr<broker::Producer> writer_ = broker_->NewProducer({});
};

TEST_F(EventSearchTest, LooksAtTheRecordsOfASpanOfTime) {
  EXPECT_EQ(Search(0, Now()).value(), false);
  Write("before");
  int64_t begin = Now();
  Write("wanted");
  int64_t end = Now();
  Write("after");
  EXPECT_EQ(Search(begin, end).value(), true);
  EXPECT_EQ(Search(begin, Now() + 1'000'000).value(), true);
  EXPECT_EQ(Search(0, begin).value(), false);
  EXPECT_EQ(Search(end, Now()).value(), false);
}

TEST_F(EventSearchTest, TakesItsTimeAsLongAsRecordsCome) {
  for (int i = 0; i < 10; ++i) Write(std::string(1'000'000, 'x'));
  Write("wanted");
  cluster_.set_faults({.min_latency = 8s, .max_latency = 8s});
  SteadyTime begun = loop_.Steady();
  EXPECT_EQ(Search(0, Now()).value(), true);
  EXPECT_GT(loop_.Steady() - begun, 20s);
}

TEST_F(EventSearchTest, GivesUpWhenNothingComes) {
  Write("x");
  cluster_.set_faults({.min_latency = 1h, .max_latency = 1h});
  EXPECT_EQ(Search(0, Now()).code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace dispatch::tick_driver_test
