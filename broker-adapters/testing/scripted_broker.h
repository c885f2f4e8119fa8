#pragma once

#include <memory>
#include <string>
#include <utility>

#include "broker-adapters/broker.h"
#include "broker-adapters/testing/recording_consumer.h"

namespace dispatch::broker::testing {

/// A cluster whose group's member does what the test says.
class ScriptedBroker : public Broker {
 public:
  explicit ScriptedBroker(Broker& broker) : broker_(broker) {}

  std::unique_ptr<Producer> NewProducer(ProducerOptions options) override {
    return broker_.NewProducer(std::move(options));
  }
  std::unique_ptr<GroupConsumer> NewGroupConsumer(GroupOptions,
                                                  GroupConsumer::Listener& listener) override {
    group = &listener;
    auto made = std::make_unique<RecordingConsumer>();
    member = made.get();
    return made;
  }
  std::unique_ptr<Reader> NewReader(std::string client_id, Reader::Listener& listener,
                                    size_t max_prefetch_bytes) override {
    return broker_.NewReader(std::move(client_id), listener, max_prefetch_bytes);
  }
  std::unique_ptr<Reader> NewSharedReader(Reader::Listener& listener) override {
    return broker_.NewSharedReader(listener);
  }
  Admin& admin() override { return broker_.admin(); }

  GroupConsumer::Listener* group = nullptr;
  RecordingConsumer* member = nullptr;

 private:
  Broker& broker_;
};

}  // namespace dispatch::broker::testing
