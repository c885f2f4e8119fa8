// The contracts of Dispatch's Kafka topics, Thrift compact protocol.
//
// Rules: field numbers are never reused, types never change, new fields are optional. Readers skip
// what they do not know. golden_test.cc holds bytes of every message as first shipped.
namespace cpp dispatch.wire

struct Header {
  1: binary name
  2: binary value
}

struct EventData {
  1: optional binary key
  2: list<Header> headers
  3: optional binary value
}

struct Principal {
  1: string kind
  2: string id
  3: string org
}

struct FieldError {
  1: string field
  2: string reason
}

struct Request {
  1: binary correlation_id
  2: string method
  3: string org
  4: Principal principal
  5: i64 deadline_ms
  6: i32 reply_partition
  7: string idempotency_key
  8: optional i64 if_match
  9: binary body
  10: string traceparent
}

struct Reply {
  1: binary correlation_id
  2: i32 code
  3: string message
  4: bool retryable
  5: list<FieldError> details
  6: binary body
  7: string state_kind
  8: string state_key
  9: i64 state_version
}

struct StateRecord {
  1: string kind
  2: string org
  3: string name
  4: binary uuid
  5: i64 version
  6: i64 epoch
  7: bool deleted
  8: binary document
  9: i64 written_ms
}

struct DeliveryId {
  1: binary topic
  2: i32 partition
  3: i64 offset
  4: binary subscription
  5: i32 generation
  6: optional binary replay
}

struct Target {
  1: binary subscription
  2: i32 generation
  3: i64 version
}

struct Invocation {
  1: string org
  2: string topic
  3: binary topic_uuid
  4: i32 source_partition
  5: i64 source_offset
  6: i64 source_timestamp_ms
  7: optional binary stream
  8: optional binary replay
  9: i32 chunk
  10: i32 chunks
  11: list<Target> targets
  12: EventData event
  13: optional i64 deliver_at_ms
}

struct DeliveryCounters {
  1: i64 received
  2: i64 delivered
  3: i64 dead_lettered
  4: i64 cancelled
}

struct Circuit {
  1: i32 state // 0 closed, 1 open, 2 half open; a Thrift enum of another value is undefined in C++
  2: i64 since_ms
  3: string reason
}

struct BlockingKey {
  1: binary key
  2: i64 waiting
  3: i64 since_ms
  4: i32 attempts
  5: i32 last_status
  6: string last_error
  7: i64 next_ms
  8: i32 source_partition
  9: i64 source_offset
}

struct Blocked {
  1: i64 keys
  2: i64 waiting
  3: list<BlockingKey> first
}

struct Progress {
  1: binary subscription
  2: i32 partition
  3: i64 epoch
  4: DeliveryCounters counters
  5: i64 queued
  6: i64 in_flight
  7: i64 retrying
  8: i64 oldest_pending_ms
  9: string last_failure
  10: i64 written_ms
  11: optional Circuit circuit
  12: optional i64 failing_since_ms
  13: optional i64 last_success_ms
  14: optional i64 scheduled
  15: optional Blocked blocked
}

struct DeadLetter {
  1: DeliveryId id
  2: string org
  3: string topic
  4: string subscription
  5: string reason
  6: string message
  7: i32 attempts
  8: i32 last_status
  9: i64 first_attempt_ms
  10: i64 last_attempt_ms
  11: i64 dead_lettered_ms
  12: EventData event
  13: optional i32 invocations_partition
  14: optional i64 sequence
  15: optional i64 source_timestamp_ms
  16: optional binary replay_of
}

struct AuditEntry {
  1: string org
  2: Principal principal
  3: string action
  4: string resource
  5: string outcome
  6: i64 at_ms
  7: string request_id
}

struct Range {
  1: i64 first
  2: i64 limit
}

// Events for which the evaluation of the filters ended with an error.
struct FilterErrors {
  1: i64 events
  2: map<string, i64> kinds
  3: i64 last_offset
  4: i64 last_ms
}

struct Matched {
  1: binary subscription
  2: i32 generation
  3: i64 matched
  4: i64 lost
  5: optional FilterErrors filter_errors
}

struct SessionMember {
  1: binary subscription
  2: i32 generation
  3: i64 first
  4: optional i64 limit
}

struct LagSession {
  1: binary stream
  2: i64 position
  3: list<Range> completed
  4: list<SessionMember> members
  5: optional i64 granted
}

struct Retired {
  1: binary subscription
  2: i32 generation
  3: i64 first
  4: i64 limit
}

struct MatchCheckpoint {
  1: list<Range> completed
  2: list<Matched> counters
  3: list<LagSession> sessions
  4: optional i64 granted
  5: optional list<Retired> retired
}

struct Partial {
  1: i64 offset
  2: binary settled
}

struct PackedAttempt {
  1: i64 offset
  2: i64 at_ms
  3: i32 number
  4: i64 latency_us
  5: i32 status
  6: i32 generation
  7: optional binary replay
  8: optional string answer_head
}

struct PackedAttempts {
  1: list<PackedAttempt> attempts
}

struct PackedLag {
  1: list<i64> seconds
  2: list<i64> waiting
  3: list<i64> oldest
  4: list<i64> settled
  5: i32 partitions
  6: list<i64> unread
}

struct Mark {
  1: binary stream
  2: binary topic
  3: i32 source_partition
  4: i64 offset
  5: bool whole
  6: list<binary> targets
  7: i64 seen_ms
}

struct Counted {
  1: binary subscription
  2: DeliveryCounters counters
}

struct InvokeCheckpoint {
  1: list<Range> completed
  2: list<Partial> partials
  3: list<Mark> marks
  4: list<Counted> counters
  5: i64 taken_in
}
