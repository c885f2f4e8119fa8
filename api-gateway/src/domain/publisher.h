#pragma once

#include <memory>
#include <string>

#include "api-gateway/src/domain/call.h"
#include "api-gateway/src/domain/event_intake.h"
#include "broker-adapters/broker.h"
#include "common/metrics.h"

namespace dispatch::gateway {

/// Writes the events of a call to their topic and answers from the delivery reports: 202 when all
/// are written, 207 with an error at each one that is not, an error when none is. Never waits for
/// room. One owner, who keeps the producer.
class Publisher {
 public:
  Publisher(Loop& loop, broker::Producer& producer);

  void Publish(CallPtr call, const std::string& topic, Intake intake);

  size_t in_flight() const { return producer_.in_flight(); }

 private:
  struct Pending;

  Status Produce(const std::shared_ptr<Pending>& pending, size_t index, cloudevents::Event event,
                 const std::string& kafka_topic, const std::string& traceparent);
  void Finish(Pending& pending);

  Loop& loop_;
  broker::Producer& producer_;
  metrics::Counter accepted_;
  metrics::Counter refused_;
  metrics::Histogram latency_;
};

}  // namespace dispatch::gateway
