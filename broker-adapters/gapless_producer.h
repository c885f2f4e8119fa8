#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::broker {

/// A producer that keeps the order of what it is given, per partition, without ever leaving one
/// out: it never times out locally, and after a fatal error it builds a new producer and produces
/// again from the first unacknowledged record (so a record may be written twice, never skipped).
/// One owner.
class GaplessProducer {
 public:
  GaplessProducer(Broker& broker, Loop& loop, ProducerOptions options);
  ~GaplessProducer();

  /// Always takes the record; `acknowledged` runs when it is in the log, in order per partition.
  /// The caller bounds what is outstanding by full(). A record that the cluster refuses for itself
  /// (too large) is reported with that error and does not stop the ones behind it.
  void Produce(ProduceRecord record, std::function<void(Status)> acknowledged);

  size_t outstanding() const;

  size_t outstanding_bytes() const;
  bool full() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::broker
