#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "common/uuid.h"

/// The objects that services tell each other about on state topics, read from their documents. A
/// document is the API form of the object; what is not for users is under its key "internal".
namespace dispatch::schema {

/// Kinds of entities in state records.
inline constexpr char kTopicKind[] = "topic";
inline constexpr char kSubscriptionKind[] = "subscription";
inline constexpr char kReplayKind[] = "replay";
inline constexpr char kDriverTypeKind[] = "drivertype";
inline constexpr char kDriverKind[] = "driver";
inline constexpr char kFunctionKind[] = "function";
inline constexpr char kBaseImageKind[] = "baseimage";
inline constexpr char kImageKind[] = "image";
inline constexpr char kSecretKind[] = "secret";
inline constexpr char kApplicationKind[] = "application";
/// function-manager's public key, which secrets are sealed with: entity dispatch/function-manager.
inline constexpr char kSealingKeyKind[] = "sealingkey";
inline constexpr char kSealingKeyName[] = "dispatch/function-manager";
inline constexpr char kOrganizationKind[] = "organization";
inline constexpr char kApiKeyKind[] = "apikey";
inline constexpr char kPolicyKind[] = "policy";

struct Topic {
  Uuid uuid;
  std::string org;
  std::string name;
  int64_t version = 0;
  int32_t partitions = 0;

  std::string KafkaName() const { return org + "." + name; }
};

/// How often and how long a delivery is tried (DESIGN section 5).
struct RetryPolicy {
  int32_t max_attempts = 10;
  std::chrono::milliseconds min_backoff{5'000};
  double factor = 4;
  std::chrono::milliseconds max_backoff{std::chrono::hours(6)};
  std::chrono::milliseconds max_age{std::chrono::hours(48)};
  double jitter = 0.2;  // 0..1: the delay is drawn from [1 - jitter, 1] of the backoff
};

/// kKey: the events of one partition key go one at a time, in log order.
enum class Ordering { kNone, kKey };

/// Ordered, what a failing event means for those behind it: they wait until it is delivered or
/// dead-lettered, or it becomes a dead letter when its tries in memory are used up.
enum class OnFailure { kBlock, kPark };

/// At most so many attempts are started in each such time.
struct RateLimit {
  int64_t events = 1;
  std::chrono::milliseconds per{1'000};

  double per_ms() const { return static_cast<double>(events) / static_cast<double>(per.count()); }
};

/// kBatch: several events in one request.
enum class DeliveryMode { kBinary, kStructured, kBatch };

/// Versions of HTTP that an endpoint is spoken to in. kAny: HTTP/2 where TLS agrees on it, else
/// HTTP/1.1. kHttp2: without TLS too.
enum class SinkHttp { kAny, kHttp11, kHttp2 };

struct Sink {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  DeliveryMode mode = DeliveryMode::kBinary;
  std::string auth_secret;  // names of secrets; empty: none
  std::string signing_secret;
  SinkHttp http = SinkHttp::kAny;
  std::string reply_topic;  // of the subscription: where events in answers go; empty: nowhere
  std::vector<std::string> secrets;  // of the subscription: names, for a function's context
};

/// Which attempts are kept: failures always. kAll: successes as long; kWindow: in a window of time
/// and bytes; kFailures: not at all.
enum class History { kAll, kWindow, kFailures };

struct Subscription {
  Uuid uuid;
  std::string org;
  std::string name;
  int64_t version = 0;
  std::string topic;
  Uuid topic_uuid;
  std::string event_type;  // empty: any
  json::array filters;     // CloudEvents Subscriptions dialects, all must hold
  std::optional<Sink> sink;
  std::string function;  // when there is no sink
  RetryPolicy retry;
  std::chrono::milliseconds timeout{30'000};
  int32_t max_in_flight = 512;
  Ordering ordering = Ordering::kNone;
  OnFailure on_failure = OnFailure::kBlock;
  std::optional<RateLimit> rate_limit;
  std::string dead_letter_topic;  // of its organisation, beside the built-in one; empty: none
  /// Where events in answers go, of its organisation; empty: nowhere.
  std::string reply_topic;
  std::vector<std::string> secrets;  // names: context.secrets of a function that it runs
  /// `sink.handshake`: the endpoint has not allowed deliveries yet. It is paused meanwhile.
  bool awaits_permission = false;
  bool paused = false;
  History history = History::kWindow;
  Uuid replay_of;  // of a replay: the subscription that it replays to; nil: it is none
  int32_t generation = 1;
  /// Per partition, the first offset that this generation matches; missing: 0.
  std::vector<int64_t> boundaries;

  /// Per partition, the first offset that it does not match any more; empty: it has no end. Only
  /// replays have one.
  std::vector<int64_t> ends;

  /// Per partition, the end when it was paused: what came before is still delivered.
  std::vector<int64_t> pause_boundaries;
  /// After a change of type or filters: what they were, and per partition the end then. The old
  /// ones serve the offsets below.
  std::vector<int64_t> filter_boundaries;
  std::string previous_event_type;
  json::array previous_filters;

  std::string Key() const { return org + "/" + name; }
  int64_t Boundary(int32_t partition) const { return At(boundaries, partition); }
  int64_t End(int32_t partition) const {
    return ends.empty() ? std::numeric_limits<int64_t>::max() : At(ends, partition);
  }
  int64_t FilterBoundary(int32_t partition) const { return At(filter_boundaries, partition); }
  int64_t PauseBoundary(int32_t partition) const { return At(pause_boundaries, partition); }

 private:
  static int64_t At(const std::vector<int64_t>& offsets, int32_t partition) {
    return partition < static_cast<int32_t>(offsets.size()) ? offsets[partition] : 0;
  }
};

struct Function {
  Uuid uuid;
  std::string org;
  std::string name;
  int64_t version = 0;
  std::string runtime;
  std::string url;
  std::chrono::milliseconds timeout{0};  // 0: the subscription's
  bool serves = false;                   // it has an endpoint, or a version that is READY
};

/// From the parts of a state entity. The documents come from their owners, who checked them; what
/// is missing takes its default.
Topic ParseTopic(const Uuid& uuid, const std::string& org, const std::string& name, int64_t version,
                 const json::object& document);
Subscription ParseSubscription(const Uuid& uuid, const std::string& org, const std::string& name,
                               int64_t version, const json::object& document);
/// A replay: a subscription with an end, under the name of the one that it replays to.
Subscription ParseReplay(const Uuid& uuid, const std::string& org, int64_t version,
                         const json::object& document);
bool IsRunningReplay(const json::object& document);
bool IsCancelledReplay(const json::object& document);
Function ParseFunction(const Uuid& uuid, const std::string& org, const std::string& name,
                       int64_t version, const json::object& document);

/// Names: `^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`; topics also '.'; organisations
/// `^[a-z0-9][a-z0-9-]{0,62}$` and not "dispatch".
bool IsObjectName(std::string_view name);
bool IsTopicName(std::string_view name);
bool IsOrganizationName(std::string_view name);

}  // namespace dispatch::schema
