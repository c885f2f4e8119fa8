#pragma once

#include <memory>
#include <string>

#include "api-gateway/src/domain/call.h"
#include "api-gateway/src/domain/event_intake.h"
#include "broker-adapters/broker.h"
#include "common/metrics.h"
#include "common/span.h"

namespace dispatch::gateway {

/// Writes the events of a call to their topic and answers from the delivery reports: 202 when all
/// are written, 207 with an error at each one that is not, an error when none is. Never waits for
/// room. One owner, who keeps the producers.
///
/// Two of them make an adaptive linger: what finds little on its way goes out at once through
/// `prompt`; under load everything goes through `bulk`, which waits a millisecond for company. One
/// Kafka request for each event costs four times the work, and a linger for a lone event four times
/// its latency. A request's events share a producer, so their order stays, and who awaits an answer
/// before the next request keeps its order too.
class Publisher {
 public:
  Publisher(Loop& loop, broker::Producer& prompt, broker::Producer& bulk,
            const Tracer* tracer = nullptr);

  void Publish(CallPtr call, const std::string& topic, Intake intake);

  size_t in_flight() const { return prompt_.in_flight() + bulk_.in_flight(); }

 private:
  struct Pending;

  Status Produce(const std::shared_ptr<Pending>& pending, size_t index, cloudevents::Event event,
                 const std::string& kafka_topic, const std::string& traceparent);
  SpanPtr Trace(const std::string& traceparent, const std::string& kafka_topic,
                const cloudevents::Event& event) const;
  void EndTrace(const SpanPtr& span, const Result<broker::Position>& outcome) const;
  void Finish(Pending& pending);

  Loop& loop_;
  broker::Producer& prompt_;
  broker::Producer& bulk_;
  const Tracer* tracer_;
  metrics::Counter accepted_;
  metrics::Counter refused_;
  metrics::Histogram latency_;
};

}  // namespace dispatch::gateway
