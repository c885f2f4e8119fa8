#include <cstdlib>

#include "broker-adapters/contract/driver.h"
#include "broker-adapters/kafka/kafka_broker.h"
#include "broker-adapters/memory/memory_broker.h"
#include "common/event_loop.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::broker::contract {

namespace {

class MemoryDriver : public Driver {
 public:
  MemoryDriver() : cluster_(loop_, 7) {
    cluster_.set_faults({.min_latency = Duration(200), .max_latency = Duration(3'000)});
  }
  Loop& loop() override { return loop_; }
  std::unique_ptr<Broker> Connect(const std::string& client_id) override {
    return cluster_.Connect(client_id);
  }
  bool RunUntil(const std::function<bool()>& done, Duration limit) override {
    SteadyTime end = loop_.Steady() + limit;
    while (!done() && loop_.Steady() < end) loop_.RunFor(Duration(1'000));
    return done();
  }

 private:
  testing::SimulatedLoop loop_;
  MemoryCluster cluster_;
};

class KafkaDriver : public Driver {
 public:
  explicit KafkaDriver(std::string brokers) : brokers_(std::move(brokers)) {}
  Loop& loop() override { return loop_; }
  std::unique_ptr<Broker> Connect(const std::string& client_id) override {
    KafkaOptions options;
    options.brokers = brokers_;
    options.client_id = client_id;
    if (const char* protocol = std::getenv("DISPATCH_TEST_KAFKA_GROUP_PROTOCOL")) {
      options.group_protocol = protocol;
    }
    auto broker = ConnectKafka(loop_, std::move(options));
    return broker.ok() ? std::move(*broker) : nullptr;
  }
  bool RunUntil(const std::function<bool()>& done, Duration limit) override {
    SteadyTime end = loop_.Steady() + limit;
    bool held = false;
    TimerId timer = kNoTimer;
    std::function<void()> check = [&] {
      held = done();
      if (held || loop_.Steady() >= end) {
        loop_.Stop();
      } else {
        timer = loop_.After(Duration(1'000), check);
      }
    };
    timer = loop_.After(Duration(0), check);
    loop_.Run();
    loop_.Cancel(timer);
    return held;
  }

 private:
  EventLoop loop_;
  std::string brokers_;
};

}  // namespace

std::unique_ptr<Driver> NewMemoryDriver() { return std::make_unique<MemoryDriver>(); }

std::unique_ptr<Driver> NewKafkaDriver() {
  const char* brokers = std::getenv("DISPATCH_TEST_KAFKA_BROKERS");
  if (brokers == nullptr || *brokers == '\0') return nullptr;
  return std::make_unique<KafkaDriver>(brokers);
}

}  // namespace dispatch::broker::contract
