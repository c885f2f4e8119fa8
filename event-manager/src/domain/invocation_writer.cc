#include "event-manager/src/domain/invocation_writer.h"

#include <memory>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "schema/delivery_time.h"

namespace dispatch {

namespace {

// FNV-1a with a final mix: stable across builds and machines, which std::hash is not.
uint64_t StableHash(std::string_view bytes) {
  uint64_t hash = 14695981039346656037ULL;
  for (unsigned char c : bytes) hash = (hash ^ c) * 1099511628211ULL;
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 33);
}

schema::DeadLetter DeadLetterFor(const schema::Topic& topic, int32_t partition, int64_t offset) {
  schema::DeadLetter letter;
  letter.id.topic = topic.uuid;
  letter.id.partition = partition;
  letter.id.offset = offset;
  letter.org = topic.org;
  letter.topic = topic.name;
  return letter;
}

}  // namespace

int32_t InvocationWriter::PartitionFor(const std::string* key, const Uuid& topic,
                                       int32_t source_partition, int64_t source_offset,
                                       int32_t partitions) {
  std::string text = topic.ToBytes();
  text += key != nullptr ? *key : '/' + std::to_string(source_partition);
  uint64_t place = StableHash(text);
  if (key == nullptr) place += static_cast<uint64_t>(source_offset / kRun);
  return static_cast<int32_t>(place % static_cast<uint64_t>(partitions));
}

void InvocationWriter::Write(const schema::Topic& topic, const broker::Record& record,
                             const cloudevents::Event& event, const Uuid& stream,
                             std::vector<schema::Target> targets, std::function<void()> done,
                             const SpanPtr& span) {
  schema::Invocation invocation;
  invocation.org = topic.org;
  invocation.topic = topic.name;
  invocation.topic_uuid = topic.uuid;
  invocation.source_partition = record.partition;
  invocation.source_offset = record.offset;
  invocation.source_timestamp_ms = record.timestamp_ms;
  invocation.stream = stream;
  invocation.chunks = static_cast<int32_t>((targets.size() + kMaxTargets - 1) / kMaxTargets);
  invocation.event = {record.key, record.headers, record.value};
  if (span != nullptr) {
    ReplaceTraceparent(invocation.event.headers, span->context.ToTraceparent());
  }
  invocation.deliver_at_ms = cloudevents::DeliverAtMs(event, record.timestamp_ms);
  const std::string* key = event.Find("partitionkey");
  int32_t partition = PartitionFor(key, topic.uuid, record.partition, record.offset, partitions_);

  struct Pending {
    int32_t left;
    std::function<void()> done;
  };
  auto pending = std::make_shared<Pending>(Pending{invocation.chunks, std::move(done)});
  auto finished = [pending] {
    if (--pending->left == 0) pending->done();
  };
  for (int32_t chunk = 0; chunk < invocation.chunks; ++chunk) {
    invocation.chunk = chunk;
    auto first = targets.begin() + chunk * static_cast<ptrdiff_t>(kMaxTargets);
    auto last = targets.end() - first > static_cast<ptrdiff_t>(kMaxTargets)
                    ? first + static_cast<ptrdiff_t>(kMaxTargets)
                    : targets.end();
    invocation.targets.assign(first, last);
    broker::ProduceRecord out;
    out.topic = broker::kInvocationsTopic;
    out.partition = partition;
    out.value = schema::Encode(invocation);
    producer_.Produce(std::move(out), [this, topic, partition = record.partition,
                                       offset = record.offset, finished](Status status) {
      if (status.ok()) return finished();
      schema::Invocation reference;
      reference.source_partition = partition;
      reference.source_offset = offset;
      log::Error("event does not fit an invocation topic={} partition={} offset={} error=\"{}\"",
                 topic.KafkaName(), partition, offset, status.message());
      WriteTooLarge(topic, reference, finished);
    });
  }
}

void InvocationWriter::WriteTooLarge(const schema::Topic& topic,
                                     const schema::Invocation& invocation,
                                     std::function<void()> done) {
  auto letter = DeadLetterFor(topic, invocation.source_partition, invocation.source_offset);
  letter.reason = "too-large";
  letter.message =
      "the event with its targets is larger than an internal record may be; it is still "
      "in its topic at this position";
  broker::ProduceRecord out;
  out.topic = broker::kDeadLettersTopic;
  out.key = topic.KafkaName();
  out.value = schema::Encode(letter);
  producer_.Produce(std::move(out), [done](Status status) {
    if (!status.ok()) log::Error("dead letter refused error=\"{}\"", status.message());
    done();
  });
}

void InvocationWriter::WriteUnparsable(const schema::Topic& topic, const broker::Record& record,
                                       const std::string& why, int64_t now_ms,
                                       std::function<void()> done) {
  auto letter = DeadLetterFor(topic, record.partition, record.offset);
  letter.reason = "unparsable";
  letter.message = why;
  letter.dead_lettered_ms = now_ms;
  letter.event = {record.key, record.headers, record.value};
  broker::ProduceRecord out;
  out.topic = broker::kDeadLettersTopic;
  out.key = topic.KafkaName();
  out.value = schema::Encode(letter);
  producer_.Produce(std::move(out), [this, topic, partition = record.partition,
                                     offset = record.offset, done](Status status) {
    if (status.ok()) return done();
    schema::Invocation reference;
    reference.source_partition = partition;
    reference.source_offset = offset;
    WriteTooLarge(topic, reference, done);
  });
}

}  // namespace dispatch
