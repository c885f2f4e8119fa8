#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "broker-adapters/gapless_producer.h"
#include "broker-adapters/types.h"
#include "common/span.h"
#include "schema/cloudevents.h"
#include "schema/messages.h"
#include "schema/objects.h"

namespace dispatch {

/// Writes what matching found to `dispatch.invocations`, in chunks of at most 256 targets, gapless
/// and repeatable: the partition is a pure function of the partition key, or of the source position
/// when there is none, so a repeat lands where the first one did.
class InvocationWriter {
 public:
  static constexpr size_t kMaxTargets = 256;
  /// So many neighbours in a source partition share an invocations partition, and with it a request
  /// to Kafka: a request an event costs the broker a core at 3,000 events/s.
  static constexpr int64_t kRun = 64;

  InvocationWriter(broker::GaplessProducer& producer, int32_t partitions)
      : producer_(producer), partitions_(partitions) {}

  /// Calls `done` when every chunk is in the log. `targets` must not be empty. An event that fits
  /// no record is dead-lettered by reference instead. `event` is what the record holds. With a span
  /// it becomes the parent of what is done with the invocations, in the record's header.
  void Write(const schema::Topic& topic, const broker::Record& record,
             const cloudevents::Event& event, const Uuid& stream,
             std::vector<schema::Target> targets, std::function<void()> done,
             const SpanPtr& span = nullptr);

  /// Writes a record that is no CloudEvent to the dead letters, with its raw bytes.
  void WriteUnparsable(const schema::Topic& topic, const broker::Record& record,
                       const std::string& why, int64_t now_ms, std::function<void()> done);

  bool full() const { return producer_.full(); }

  /// The invocations partition of a key, or of a source position: runs of `kRun` offsets go from
  /// one partition to the next.
  static int32_t PartitionFor(const std::string* key, const Uuid& topic, int32_t source_partition,
                              int64_t source_offset, int32_t partitions);

 private:
  void WriteTooLarge(const schema::Topic& topic, const schema::Invocation& invocation,
                     std::function<void()> done);

  broker::GaplessProducer& producer_;
  int32_t partitions_;
};

}  // namespace dispatch
