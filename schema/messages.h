#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/uuid.h"

/// The messages that cross Kafka topics, as plain structs. On the wire they are the Thrift compact
/// form of schema/messages.thrift; Encode and Decode (codecs of this folder) are the only code that
/// knows. Decode bounds sizes and depth, and never throws: bad bytes are kInvalidArgument.
namespace dispatch::schema {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// Who asks. `actions` of policies are checked at the gateway, before the request is sent.
struct Principal {
  std::string kind;  // "key", "service"
  std::string id;    // key id or service name
  std::string org;
};

/// dispatch.rpc.<service>: asks an owner for a mutation or a read.
struct Request {
  std::string correlation_id;  // 16 random bytes, kept across retries
  std::string method;          // "subscription.create"
  std::string org;
  Principal principal;
  int64_t deadline_ms = 0;  // wall time; expired requests are dropped
  int32_t reply_partition = 0;
  std::string idempotency_key;
  std::optional<int64_t> if_match;  // the version that the caller saw
  std::string body;                 // JSON
  std::string traceparent;
};

/// dispatch.replies
struct Reply {
  std::string correlation_id;
  Code code = Code::kOk;
  std::string message;
  bool retryable = false;
  std::vector<FieldError> details;
  std::string body;  // JSON; empty for errors
  std::string state_kind;
  std::string state_key;
  int64_t state_version = 0;
};

/// dispatch.state.<service>: a whole entity, its deletion, or the relay's heartbeat (kind
/// "heartbeat"). The record's key is Key().
struct StateRecord {
  std::string kind;
  std::string org;
  std::string name;
  Uuid uuid;  // of the incarnation
  int64_t version = 0;
  int64_t epoch = 0;  // of the relay's lease
  bool deleted = false;
  std::string document;  // JSON object
  int64_t written_ms = 0;

  std::string Key() const { return kind + "/" + org + "/" + name; }
};

/// An event as it is in its topic: CloudEvents Kafka binding.
struct EventData {
  std::optional<std::string> key;
  HeaderList headers;
  std::optional<std::string> value;
};

/// Identifies a delivery for all tables and for dedup.
struct DeliveryId {
  Uuid topic;
  int32_t partition = 0;
  int64_t offset = 0;
  Uuid subscription;
  int32_t generation = 0;
  Uuid replay;  // nil: not a replay

  auto operator<=>(const DeliveryId&) const = default;
  /// The outward `webhook-id`: a hash, the same for every attempt and repeat.
  std::string WebhookId() const;
};

struct Target {
  Uuid subscription;
  int32_t generation = 0;
  int64_t version = 0;  // of the subscription when it matched
};

/// dispatch.invocations: one event and up to 256 of the subscriptions that it matched.
struct Invocation {
  std::string org;
  std::string topic;
  Uuid topic_uuid;
  int32_t source_partition = 0;
  int64_t source_offset = 0;
  int64_t source_timestamp_ms = 0;
  Uuid stream;  // nil: live; else the id of a catch-up or replay
  Uuid replay;
  int32_t chunk = 0;  // of `chunks`, from 0
  int32_t chunks = 1;
  std::vector<Target> targets;
  EventData event;
  int64_t deliver_at_ms = 0;  // not before; 0: at once
};

struct DeliveryCounters {
  int64_t received = 0;  // targets accepted, repeats left out
  int64_t delivered = 0;
  int64_t dead_lettered = 0;
  int64_t cancelled = 0;
  int64_t settled() const { return delivered + dead_lettered + cancelled; }
};

enum class CircuitState { kClosed = 0, kOpen = 1, kHalfOpen = 2 };

/// Whether a subscription's endpoint gets attempts, as one instance of function-manager sees it.
struct Circuit {
  CircuitState state = CircuitState::kClosed;
  int64_t since_ms = 0;  // when it opened; 0 when closed
  std::string reason;    // "503 from http://host since 10:02:05Z"; empty when closed
  bool operator==(const Circuit&) const = default;
};

/// A key of `ordering: key` whose first delivery failed, or is without an answer for a while: what
/// comes behind it waits.
struct BlockingKey {
  std::string key;       // its beginning, as text, when it is long
  int64_t waiting = 0;   // deliveries behind the first
  int64_t since_ms = 0;  // when that was attempted first
  int32_t attempts = 0;  // of it, made
  int32_t last_status = 0;
  std::string last_error;
  int64_t next_ms = 0;  // when it is attempted next; 0: that is under way, or about to be
  int32_t source_partition = 0;
  int64_t source_offset = 0;
  bool operator==(const BlockingKey&) const = default;
};

/// All such keys of a subscription, and those with the most behind them.
struct Blocked {
  static constexpr size_t kFirst = 10;
  int64_t keys = 0;
  int64_t waiting = 0;
  std::vector<BlockingKey> first;
  bool operator==(const Blocked&) const = default;
};

/// dispatch.progress: what one invocations partition did for one subscription.
struct Progress {
  Uuid subscription;
  int32_t partition = 0;
  int64_t epoch = 0;
  DeliveryCounters counters;
  int64_t queued = 0;
  int64_t in_flight = 0;
  int64_t retrying = 0;
  int64_t oldest_pending_ms = 0;  // source timestamp of the oldest unsettled, 0 for none
  std::string last_failure;       // "503 from host", empty when the last attempt went well
  int64_t written_ms = 0;
  std::optional<Circuit> circuit;  // missing from older writers
  int64_t failing_since_ms = 0;    // when the first attempt failed since the last good one; 0: none
  int64_t last_success_ms = 0;     // when an attempt went well last; 0: not since the writer began
  int64_t scheduled = 0;           // pending before their time; in none of the others
  Blocked blocked;
};

/// dispatch.dead-letters
struct DeadLetter {
  DeliveryId id;
  std::string org;
  std::string topic;
  std::string subscription;  // its name; empty for an event that never reached matching
  std::string reason;        // "attempts-exhausted", "rejected", "gone", "unparsable", ...
  std::string message;       // for people: "404 from http://..."
  int32_t attempts = 0;
  int32_t last_status = 0;
  int64_t first_attempt_ms = 0;
  int64_t last_attempt_ms = 0;
  int64_t dead_lettered_ms = 0;
  EventData event;
  /// Whose books counted it, and its place there; missing from older and event-manager's letters.
  std::optional<int32_t> invocations_partition;
  std::optional<int64_t> sequence;
  int64_t source_timestamp_ms = 0;  // 0: not known
  Uuid replay_of;  // the subscription that the replay `id.subscription` is of; nil: it is none
};

/// dispatch.audit
struct AuditEntry {
  std::string org;
  Principal principal;
  std::string action;
  std::string resource;
  std::string outcome;  // "allowed", "denied", or an error code
  int64_t at_ms = 0;
  std::string request_id;
};

using Range = std::pair<int64_t, int64_t>;  // half-open

/// Events of a partition for which the evaluation of a subscription's filters ended with an error.
struct FilterErrors {
  int64_t events = 0;
  std::map<std::string, int64_t> kinds;  // events by kind ("cast"); one may have several
  int64_t last_offset = 0;
  int64_t last_ms = 0;  // when that was matched
};

/// event-manager's checkpoint of one event partition (a blob in PostgreSQL).
struct MatchCheckpoint {
  struct Matched {
    Uuid subscription;
    int32_t generation = 0;
    int64_t matched = 0;
    int64_t lost = 0;
    FilterErrors filter_errors;
  };
  /// A lagging reader under way: its stream id, how far it is, whom it serves and where.
  struct Session {
    struct Member {
      Uuid subscription;
      int32_t generation = 0;
      int64_t from = 0;
      std::optional<int64_t> until;  // nothing: until it meets the shared reader
    };
    Uuid stream;
    int64_t position = 0;
    std::vector<Range> completed;
    std::vector<Member> members;
    std::optional<int64_t> granted;  // as below
  };
  /// What a generation before the newest was served live: read again after a crash, those offsets
  /// must have the same targets.
  struct Retired {
    Uuid subscription;
    int32_t generation = 0;
    int64_t from = 0;
    int64_t until = 0;
  };
  std::vector<Range> completed;
  std::vector<Matched> counters;
  std::vector<Session> sessions;
  /// Nothing at or above was written to the invocations while this was the newest checkpoint.
  /// Missing from older writers.
  std::optional<int64_t> granted;
  std::vector<Retired> retired;
};

/// Successful attempts, in a column of function-manager's (attempt_block.h): offsets and times are
/// relative to the least of them.
struct PackedAttempts {
  struct Attempt {
    int64_t offset = 0;
    int64_t at_ms = 0;
    int32_t number = 1;
    int64_t latency_us = 0;
    int32_t status = 0;
    int32_t generation = 0;
    Uuid replay;
    std::string answer_head;
  };
  std::vector<Attempt> attempts;
};

/// Looks at a subscription's lag, in a column of event-manager's (lag_block.h): one element a look
/// in each list. All are differences to the element before, the first to 0.
struct PackedLag {
  std::vector<int64_t> seconds;
  std::vector<int64_t> waiting;
  std::vector<int64_t> oldest;
  std::vector<int64_t> settled;
  int32_t partitions = 0;
  std::vector<int64_t> unread;  // by partition in each look; empty: nothing in any
};

/// function-manager's checkpoint of one invocations partition.
struct InvokeCheckpoint {
  /// A record with some of its targets settled: a bit a target, the first in the lowest bit.
  struct Partial {
    int64_t offset = 0;
    std::string settled;
  };
  /// How far a stream's source offsets were taken in.
  struct Mark {
    Uuid stream;
    Uuid topic;
    int32_t source_partition = 0;
    int64_t offset = 0;
    bool whole = false;         // its last chunk was seen
    std::vector<Uuid> targets;  // seen at `offset`
    int64_t seen_ms = 0;
  };
  struct Counted {
    Uuid subscription;
    DeliveryCounters counters;
  };
  /// Records below this offset went through repeat suppression already: read again, their unsettled
  /// targets are work to do, not repeats.
  int64_t taken_in = 0;
  std::vector<Range> completed;
  std::vector<Partial> partials;
  std::vector<Mark> marks;
  std::vector<Counted> counters;
};

std::string Encode(const Request&);
std::string Encode(const Reply&);
std::string Encode(const StateRecord&);
std::string Encode(const Invocation&);
std::string Encode(const Progress&);
std::string Encode(const DeadLetter&);
std::string Encode(const AuditEntry&);
std::string Encode(const MatchCheckpoint&);
std::string Encode(const InvokeCheckpoint&);
std::string Encode(const PackedAttempts&);
std::string Encode(const PackedLag&);

/// Decode<Invocation>(bytes).
template <typename Message>
Result<Message> Decode(std::string_view bytes);

}  // namespace dispatch::schema
