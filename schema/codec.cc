#include <thrift/protocol/TCompactProtocol.h>
#include <thrift/transport/TBufferTransports.h>

#include <algorithm>
#include <memory>

#include "common/crypto.h"
#include "messages_types.h"
#include "messages_types.tcc"
#include "schema/messages.h"

namespace dispatch::schema {

namespace {

using apache::thrift::protocol::TCompactProtocolT;
using apache::thrift::transport::TMemoryBuffer;

// An invocation holds an event of at most 1 MB and 256 targets; topics allow 2 MiB.
constexpr int32_t kMaxString = 4 * 1024 * 1024;
constexpr int32_t kMaxElements = 200'000;

std::string Bytes(const Uuid& id) { return id.is_nil() ? std::string() : id.ToBytes(); }

Uuid ToUuid(const std::string& bytes) {
  auto parsed = Uuid::FromBytes(bytes);
  return parsed.ok() ? *parsed : Uuid{};
}

// ---- plain struct -> wire struct ----

wire::EventData ToWire(const EventData& in) {
  wire::EventData out;
  if (in.key) out.__set_key(*in.key);
  out.headers.reserve(in.headers.size());
  for (const auto& [name, value] : in.headers) {
    wire::Header header;
    header.name = name;
    header.value = value;
    out.headers.push_back(std::move(header));
  }
  if (in.value) out.__set_value(*in.value);
  return out;
}

EventData FromWire(wire::EventData&& in) {
  EventData out;
  if (in.__isset.key) out.key = std::move(in.key);
  out.headers.reserve(in.headers.size());
  for (auto& header : in.headers) {
    out.headers.emplace_back(std::move(header.name), std::move(header.value));
  }
  if (in.__isset.value) out.value = std::move(in.value);
  return out;
}

wire::Principal ToWire(const Principal& in) {
  wire::Principal out;
  out.kind = in.kind;
  out.id = in.id;
  out.org = in.org;
  return out;
}

Principal FromWire(wire::Principal&& in) {
  return {std::move(in.kind), std::move(in.id), std::move(in.org)};
}

wire::DeliveryCounters ToWire(const DeliveryCounters& in) {
  wire::DeliveryCounters out;
  out.received = in.received;
  out.delivered = in.delivered;
  out.dead_lettered = in.dead_lettered;
  out.cancelled = in.cancelled;
  return out;
}

DeliveryCounters FromWire(const wire::DeliveryCounters& in) {
  return {in.received, in.delivered, in.dead_lettered, in.cancelled};
}

wire::DeliveryId ToWire(const DeliveryId& in) {
  wire::DeliveryId out;
  out.topic = Bytes(in.topic);
  out.partition = in.partition;
  out.offset = in.offset;
  out.subscription = Bytes(in.subscription);
  out.generation = in.generation;
  if (!in.replay.is_nil()) out.__set_replay(Bytes(in.replay));
  return out;
}

DeliveryId FromWire(const wire::DeliveryId& in) {
  return {ToUuid(in.topic),        in.partition,  in.offset,
          ToUuid(in.subscription), in.generation, ToUuid(in.replay)};
}

std::vector<wire::Range> ToWire(const std::vector<Range>& in) {
  std::vector<wire::Range> out(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    out[i].first = in[i].first;
    out[i].limit = in[i].second;
  }
  return out;
}

std::vector<Range> FromWire(const std::vector<wire::Range>& in) {
  std::vector<Range> out;
  out.reserve(in.size());
  for (const auto& range : in) out.emplace_back(range.first, range.limit);
  return out;
}

wire::Request ToWire(const Request& in) {
  wire::Request out;
  out.correlation_id = in.correlation_id;
  out.method = in.method;
  out.org = in.org;
  out.principal = ToWire(in.principal);
  out.deadline_ms = in.deadline_ms;
  out.reply_partition = in.reply_partition;
  out.idempotency_key = in.idempotency_key;
  if (in.if_match) out.__set_if_match(*in.if_match);
  out.body = in.body;
  out.traceparent = in.traceparent;
  return out;
}

Request FromWire(wire::Request&& in) {
  Request out;
  out.correlation_id = std::move(in.correlation_id);
  out.method = std::move(in.method);
  out.org = std::move(in.org);
  out.principal = FromWire(std::move(in.principal));
  out.deadline_ms = in.deadline_ms;
  out.reply_partition = in.reply_partition;
  out.idempotency_key = std::move(in.idempotency_key);
  if (in.__isset.if_match) out.if_match = in.if_match;
  out.body = std::move(in.body);
  out.traceparent = std::move(in.traceparent);
  return out;
}

wire::Reply ToWire(const Reply& in) {
  wire::Reply out;
  out.correlation_id = in.correlation_id;
  out.code = static_cast<int32_t>(in.code);
  out.message = in.message;
  out.retryable = in.retryable;
  for (const auto& detail : in.details) {
    wire::FieldError error;
    error.field = detail.field;
    error.reason = detail.reason;
    out.details.push_back(std::move(error));
  }
  out.body = in.body;
  out.state_kind = in.state_kind;
  out.state_key = in.state_key;
  out.state_version = in.state_version;
  return out;
}

Reply FromWire(wire::Reply&& in) {
  Reply out;
  out.correlation_id = std::move(in.correlation_id);
  bool known = in.code >= 0 && in.code <= static_cast<int32_t>(Code::kInternal);
  out.code = known ? static_cast<Code>(in.code) : Code::kInternal;
  out.message = std::move(in.message);
  out.retryable = in.retryable;
  for (auto& detail : in.details) {
    out.details.push_back({std::move(detail.field), std::move(detail.reason)});
  }
  out.body = std::move(in.body);
  out.state_kind = std::move(in.state_kind);
  out.state_key = std::move(in.state_key);
  out.state_version = in.state_version;
  return out;
}

wire::StateRecord ToWire(const StateRecord& in) {
  wire::StateRecord out;
  out.kind = in.kind;
  out.org = in.org;
  out.name = in.name;
  out.uuid = Bytes(in.uuid);
  out.version = in.version;
  out.epoch = in.epoch;
  out.deleted = in.deleted;
  out.document = in.document;
  out.written_ms = in.written_ms;
  return out;
}

StateRecord FromWire(wire::StateRecord&& in) {
  StateRecord out;
  out.kind = std::move(in.kind);
  out.org = std::move(in.org);
  out.name = std::move(in.name);
  out.uuid = ToUuid(in.uuid);
  out.version = in.version;
  out.epoch = in.epoch;
  out.deleted = in.deleted;
  out.document = std::move(in.document);
  out.written_ms = in.written_ms;
  return out;
}

wire::Invocation ToWire(const Invocation& in) {
  wire::Invocation out;
  out.org = in.org;
  out.topic = in.topic;
  out.topic_uuid = Bytes(in.topic_uuid);
  out.source_partition = in.source_partition;
  out.source_offset = in.source_offset;
  out.source_timestamp_ms = in.source_timestamp_ms;
  if (!in.stream.is_nil()) out.__set_stream(Bytes(in.stream));
  if (!in.replay.is_nil()) out.__set_replay(Bytes(in.replay));
  out.chunk = in.chunk;
  out.chunks = in.chunks;
  out.targets.resize(in.targets.size());
  for (size_t i = 0; i < in.targets.size(); ++i) {
    out.targets[i].subscription = Bytes(in.targets[i].subscription);
    out.targets[i].generation = in.targets[i].generation;
    out.targets[i].version = in.targets[i].version;
  }
  out.event = ToWire(in.event);
  if (in.deliver_at_ms != 0) out.__set_deliver_at_ms(in.deliver_at_ms);
  return out;
}

Invocation FromWire(wire::Invocation&& in) {
  Invocation out;
  out.org = std::move(in.org);
  out.topic = std::move(in.topic);
  out.topic_uuid = ToUuid(in.topic_uuid);
  out.source_partition = in.source_partition;
  out.source_offset = in.source_offset;
  out.source_timestamp_ms = in.source_timestamp_ms;
  out.stream = ToUuid(in.stream);
  out.replay = ToUuid(in.replay);
  out.chunk = in.chunk;
  out.chunks = in.chunks;
  out.targets.reserve(in.targets.size());
  for (const auto& target : in.targets) {
    out.targets.push_back({ToUuid(target.subscription), target.generation, target.version});
  }
  out.event = FromWire(std::move(in.event));
  if (in.__isset.deliver_at_ms) out.deliver_at_ms = in.deliver_at_ms;
  return out;
}

wire::Blocked ToWire(const Blocked& in) {
  wire::Blocked out;
  out.keys = in.keys;
  out.waiting = in.waiting;
  for (const auto& from : in.first) {
    wire::BlockingKey key;
    key.key = from.key;
    key.waiting = from.waiting;
    key.since_ms = from.since_ms;
    key.attempts = from.attempts;
    key.last_status = from.last_status;
    key.last_error = from.last_error;
    key.next_ms = from.next_ms;
    key.source_partition = from.source_partition;
    key.source_offset = from.source_offset;
    out.first.push_back(std::move(key));
  }
  return out;
}

Blocked FromWire(wire::Blocked&& in) {
  Blocked out{in.keys, in.waiting, {}};
  for (auto& from : in.first) {
    out.first.push_back({std::move(from.key), from.waiting, from.since_ms, from.attempts,
                         from.last_status, std::move(from.last_error), from.next_ms,
                         from.source_partition, from.source_offset});
  }
  return out;
}

wire::Progress ToWire(const Progress& in) {
  wire::Progress out;
  out.subscription = Bytes(in.subscription);
  out.partition = in.partition;
  out.epoch = in.epoch;
  out.counters = ToWire(in.counters);
  out.queued = in.queued;
  out.in_flight = in.in_flight;
  out.retrying = in.retrying;
  out.oldest_pending_ms = in.oldest_pending_ms;
  out.last_failure = in.last_failure;
  out.written_ms = in.written_ms;
  if (in.circuit) {
    wire::Circuit circuit;
    circuit.state = static_cast<int32_t>(in.circuit->state);
    circuit.since_ms = in.circuit->since_ms;
    circuit.reason = in.circuit->reason;
    out.__set_circuit(circuit);
  }
  if (in.failing_since_ms != 0) out.__set_failing_since_ms(in.failing_since_ms);
  if (in.last_success_ms != 0) out.__set_last_success_ms(in.last_success_ms);
  if (in.scheduled != 0) out.__set_scheduled(in.scheduled);
  if (in.blocked.keys != 0) out.__set_blocked(ToWire(in.blocked));
  return out;
}

Progress FromWire(wire::Progress&& in) {
  Progress out;
  out.subscription = ToUuid(in.subscription);
  out.partition = in.partition;
  out.epoch = in.epoch;
  out.counters = FromWire(in.counters);
  out.queued = in.queued;
  out.in_flight = in.in_flight;
  out.retrying = in.retrying;
  out.oldest_pending_ms = in.oldest_pending_ms;
  out.last_failure = std::move(in.last_failure);
  out.written_ms = in.written_ms;
  if (in.__isset.circuit) {
    // A state of a later version is none that holds anything back.
    int32_t state = in.circuit.state;
    if (state < 0 || state > static_cast<int32_t>(CircuitState::kHalfOpen)) state = 0;
    out.circuit = Circuit{static_cast<CircuitState>(state), in.circuit.since_ms,
                          std::move(in.circuit.reason)};
  }
  if (in.__isset.failing_since_ms) out.failing_since_ms = in.failing_since_ms;
  if (in.__isset.last_success_ms) out.last_success_ms = in.last_success_ms;
  if (in.__isset.scheduled) out.scheduled = in.scheduled;
  if (in.__isset.blocked) out.blocked = FromWire(std::move(in.blocked));
  return out;
}

wire::DeadLetter ToWire(const DeadLetter& in) {
  wire::DeadLetter out;
  out.id = ToWire(in.id);
  out.org = in.org;
  out.topic = in.topic;
  out.subscription = in.subscription;
  out.reason = in.reason;
  out.message = in.message;
  out.attempts = in.attempts;
  out.last_status = in.last_status;
  out.first_attempt_ms = in.first_attempt_ms;
  out.last_attempt_ms = in.last_attempt_ms;
  out.dead_lettered_ms = in.dead_lettered_ms;
  out.event = ToWire(in.event);
  if (in.invocations_partition) out.__set_invocations_partition(*in.invocations_partition);
  if (in.sequence) out.__set_sequence(*in.sequence);
  if (in.source_timestamp_ms != 0) out.__set_source_timestamp_ms(in.source_timestamp_ms);
  if (!in.replay_of.is_nil()) out.__set_replay_of(Bytes(in.replay_of));
  return out;
}

DeadLetter FromWire(wire::DeadLetter&& in) {
  DeadLetter out;
  out.id = FromWire(in.id);
  out.org = std::move(in.org);
  out.topic = std::move(in.topic);
  out.subscription = std::move(in.subscription);
  out.reason = std::move(in.reason);
  out.message = std::move(in.message);
  out.attempts = in.attempts;
  out.last_status = in.last_status;
  out.first_attempt_ms = in.first_attempt_ms;
  out.last_attempt_ms = in.last_attempt_ms;
  out.dead_lettered_ms = in.dead_lettered_ms;
  out.event = FromWire(std::move(in.event));
  if (in.__isset.invocations_partition) out.invocations_partition = in.invocations_partition;
  if (in.__isset.sequence) out.sequence = in.sequence;
  if (in.__isset.source_timestamp_ms) out.source_timestamp_ms = in.source_timestamp_ms;
  out.replay_of = ToUuid(in.replay_of);
  return out;
}

wire::AuditEntry ToWire(const AuditEntry& in) {
  wire::AuditEntry out;
  out.org = in.org;
  out.principal = ToWire(in.principal);
  out.action = in.action;
  out.resource = in.resource;
  out.outcome = in.outcome;
  out.at_ms = in.at_ms;
  out.request_id = in.request_id;
  return out;
}

AuditEntry FromWire(wire::AuditEntry&& in) {
  return {std::move(in.org),       FromWire(std::move(in.principal)),
          std::move(in.action),    std::move(in.resource),
          std::move(in.outcome),   in.at_ms,
          std::move(in.request_id)};
}

wire::MatchCheckpoint ToWire(const MatchCheckpoint& in) {
  wire::MatchCheckpoint out;
  out.completed = ToWire(in.completed);
  out.counters.resize(in.counters.size());
  for (size_t i = 0; i < in.counters.size(); ++i) {
    out.counters[i].subscription = Bytes(in.counters[i].subscription);
    out.counters[i].generation = in.counters[i].generation;
    out.counters[i].matched = in.counters[i].matched;
    out.counters[i].lost = in.counters[i].lost;
    const FilterErrors& errors = in.counters[i].filter_errors;
    if (errors.events == 0) continue;
    wire::FilterErrors wire;
    wire.events = errors.events;
    wire.kinds = errors.kinds;
    wire.last_offset = errors.last_offset;
    wire.last_ms = errors.last_ms;
    out.counters[i].__set_filter_errors(wire);
  }
  for (const auto& session : in.sessions) {
    wire::LagSession wire;
    wire.stream = Bytes(session.stream);
    wire.position = session.position;
    wire.completed = ToWire(session.completed);
    for (const auto& member : session.members) {
      wire::SessionMember wire_member;
      wire_member.subscription = Bytes(member.subscription);
      wire_member.generation = member.generation;
      wire_member.first = member.from;
      if (member.until) wire_member.__set_limit(*member.until);
      wire.members.push_back(std::move(wire_member));
    }
    if (session.granted) wire.__set_granted(*session.granted);
    out.sessions.push_back(std::move(wire));
  }
  if (in.granted) out.__set_granted(*in.granted);
  if (in.retired.empty()) return out;
  out.__isset.retired = true;
  for (const auto& retired : in.retired) {
    wire::Retired wire;
    wire.subscription = Bytes(retired.subscription);
    wire.generation = retired.generation;
    wire.first = retired.from;
    wire.limit = retired.until;
    out.retired.push_back(std::move(wire));
  }
  return out;
}

MatchCheckpoint FromWire(wire::MatchCheckpoint&& in) {
  MatchCheckpoint out;
  out.completed = FromWire(in.completed);
  for (auto& c : in.counters) {
    out.counters.push_back({ToUuid(c.subscription), c.generation, c.matched, c.lost, {}});
    if (!c.__isset.filter_errors) continue;
    auto& e = c.filter_errors;
    out.counters.back().filter_errors = {e.events, std::move(e.kinds), e.last_offset, e.last_ms};
  }
  for (const auto& wire : in.sessions) {
    MatchCheckpoint::Session session{
        ToUuid(wire.stream), wire.position, FromWire(wire.completed), {}, std::nullopt};
    for (const auto& m : wire.members) {
      session.members.push_back({ToUuid(m.subscription), m.generation, m.first,
                                 m.__isset.limit ? std::optional(m.limit) : std::nullopt});
    }
    if (wire.__isset.granted) session.granted = wire.granted;
    out.sessions.push_back(std::move(session));
  }
  if (in.__isset.granted) out.granted = in.granted;
  for (const auto& r : in.retired) {
    out.retired.push_back({ToUuid(r.subscription), r.generation, r.first, r.limit});
  }
  return out;
}

wire::PackedAttempts ToWire(const PackedAttempts& in) {
  wire::PackedAttempts out;
  out.attempts.resize(in.attempts.size());
  for (size_t i = 0; i < in.attempts.size(); ++i) {
    const auto& from = in.attempts[i];
    auto& to = out.attempts[i];
    to.offset = from.offset;
    to.at_ms = from.at_ms;
    to.number = from.number;
    to.latency_us = from.latency_us;
    to.status = from.status;
    to.generation = from.generation;
    if (!from.replay.is_nil()) to.__set_replay(Bytes(from.replay));
    if (!from.answer_head.empty()) to.__set_answer_head(from.answer_head);
  }
  return out;
}

PackedAttempts FromWire(wire::PackedAttempts&& in) {
  PackedAttempts out;
  out.attempts.reserve(in.attempts.size());
  for (auto& from : in.attempts) {
    out.attempts.push_back({from.offset, from.at_ms, from.number, from.latency_us, from.status,
                            from.generation, ToUuid(from.replay), std::move(from.answer_head)});
  }
  return out;
}

wire::PackedLag ToWire(const PackedLag& in) {
  wire::PackedLag out;
  out.seconds = in.seconds;
  out.waiting = in.waiting;
  out.oldest = in.oldest;
  out.settled = in.settled;
  out.partitions = in.partitions;
  out.unread = in.unread;
  return out;
}

PackedLag FromWire(wire::PackedLag&& in) {
  return {std::move(in.seconds), std::move(in.waiting), std::move(in.oldest),
          std::move(in.settled), in.partitions,         std::move(in.unread)};
}

wire::InvokeCheckpoint ToWire(const InvokeCheckpoint& in) {
  wire::InvokeCheckpoint out;
  out.taken_in = in.taken_in;
  out.completed = ToWire(in.completed);
  out.partials.resize(in.partials.size());
  for (size_t i = 0; i < in.partials.size(); ++i) {
    out.partials[i].offset = in.partials[i].offset;
    out.partials[i].settled = in.partials[i].settled;
  }
  out.marks.resize(in.marks.size());
  for (size_t i = 0; i < in.marks.size(); ++i) {
    const auto& mark = in.marks[i];
    auto& wire = out.marks[i];
    wire.stream = Bytes(mark.stream);
    wire.topic = Bytes(mark.topic);
    wire.source_partition = mark.source_partition;
    wire.offset = mark.offset;
    wire.whole = mark.whole;
    for (const auto& target : mark.targets) wire.targets.push_back(Bytes(target));
    wire.seen_ms = mark.seen_ms;
  }
  out.counters.resize(in.counters.size());
  for (size_t i = 0; i < in.counters.size(); ++i) {
    out.counters[i].subscription = Bytes(in.counters[i].subscription);
    out.counters[i].counters = ToWire(in.counters[i].counters);
  }
  return out;
}

InvokeCheckpoint FromWire(wire::InvokeCheckpoint&& in) {
  InvokeCheckpoint out;
  out.taken_in = in.taken_in;
  out.completed = FromWire(in.completed);
  for (auto& p : in.partials) out.partials.push_back({p.offset, std::move(p.settled)});
  for (const auto& wire : in.marks) {
    InvokeCheckpoint::Mark mark{ToUuid(wire.stream), ToUuid(wire.topic), wire.source_partition,
                                wire.offset,         wire.whole,         {},
                                wire.seen_ms};
    for (const auto& target : wire.targets) mark.targets.push_back(ToUuid(target));
    out.marks.push_back(std::move(mark));
  }
  for (const auto& c : in.counters) {
    out.counters.push_back({ToUuid(c.subscription), FromWire(c.counters)});
  }
  return out;
}

template <typename Message>
std::string EncodeMessage(const Message& message) {
  // One buffer a thread: encoding is on the hot path, and the buffer keeps its size.
  thread_local auto buffer = std::make_shared<TMemoryBuffer>(4096);
  thread_local TCompactProtocolT<TMemoryBuffer> protocol(buffer);
  buffer->resetBuffer();
  ToWire(message).write(&protocol);
  uint8_t* data = nullptr;
  uint32_t size = 0;
  buffer->getBuffer(&data, &size);
  return std::string(reinterpret_cast<const char*>(data), size);
}

template <typename Wire, typename Message>
Result<Message> DecodeMessage(std::string_view bytes) {
  try {
    auto* data = reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
    auto buffer = std::make_shared<TMemoryBuffer>(data, static_cast<uint32_t>(bytes.size()),
                                                  TMemoryBuffer::OBSERVE);
    // A list cannot have more elements than the message has bytes: what it claims is not allocated.
    auto elements = static_cast<int32_t>(std::min<size_t>(kMaxElements, bytes.size() + 1));
    TCompactProtocolT<TMemoryBuffer> protocol(buffer, kMaxString, elements);
    Wire wire;
    wire.read(&protocol);
    return FromWire(std::move(wire));
  } catch (const std::exception& e) {
    return Error{Code::kInvalidArgument, std::string("not a valid message: ") + e.what()};
  }
}

}  // namespace

#define DISPATCH_CODEC(Message)                                                 \
  std::string Encode(const Message& message) { return EncodeMessage(message); } \
  template <>                                                                   \
  Result<Message> Decode<Message>(std::string_view bytes) {                     \
    return DecodeMessage<wire::Message, Message>(bytes);                        \
  }

DISPATCH_CODEC(Request)
DISPATCH_CODEC(Reply)
DISPATCH_CODEC(StateRecord)
DISPATCH_CODEC(Invocation)
DISPATCH_CODEC(Progress)
DISPATCH_CODEC(DeadLetter)
DISPATCH_CODEC(AuditEntry)
DISPATCH_CODEC(MatchCheckpoint)
DISPATCH_CODEC(InvokeCheckpoint)
DISPATCH_CODEC(PackedAttempts)
DISPATCH_CODEC(PackedLag)

std::string DeliveryId::WebhookId() const {
  std::string text = Bytes(topic) + Bytes(subscription) + Bytes(replay);
  text += '/' + std::to_string(partition) + '/' + std::to_string(offset) + '/' +
          std::to_string(generation);
  return "msg_" + crypto::HexEncode(crypto::Sha256(text).substr(0, 16));
}

}  // namespace dispatch::schema
