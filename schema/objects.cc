#include "schema/objects.h"

#include <algorithm>

#include "common/config.h"

namespace dispatch::schema {

namespace {

std::chrono::milliseconds ReadDuration(const json::object& o, std::string_view key,
                                       std::chrono::milliseconds fallback) {
  const auto* found = o.if_contains(key);
  if (found == nullptr) return fallback;
  if (found->is_int64()) return std::chrono::milliseconds(found->as_int64());
  if (!found->is_string()) return fallback;
  auto parsed = ParseDuration(found->as_string());
  if (!parsed.ok()) return fallback;
  return std::chrono::duration_cast<std::chrono::milliseconds>(*parsed);
}

RetryPolicy ReadRetry(const json::object* o) {
  RetryPolicy policy;
  if (o == nullptr) return policy;
  policy.max_attempts = static_cast<int32_t>(json::GetInt(*o, "maxAttempts", policy.max_attempts));
  policy.min_backoff = ReadDuration(*o, "minBackoff", policy.min_backoff);
  policy.factor = json::GetDouble(*o, "factor", policy.factor);
  policy.max_backoff = ReadDuration(*o, "maxBackoff", policy.max_backoff);
  policy.max_age = ReadDuration(*o, "maxAge", policy.max_age);
  policy.jitter = json::GetDouble(*o, "jitter", policy.jitter);
  return policy;
}

std::optional<RateLimit> ReadRateLimit(const json::object* o) {
  if (o == nullptr) return std::nullopt;
  RateLimit limit;
  limit.events = std::max<int64_t>(1, json::GetInt(*o, "events", limit.events));
  limit.per = ReadDuration(*o, "per", limit.per);
  return limit;
}

// What came of the webhook handshake: {"state": "pending" | "allowed", "allowedRate": requests a
// minute}. The tighter limit holds, the endpoint's or the subscription's own.
void ReadHandshake(const json::object* o, Subscription* s) {
  if (o == nullptr) return;
  s->awaits_permission = json::GetString(*o, "state") != "allowed";
  int64_t allowed = json::GetInt(*o, "allowedRate");
  if (s->awaits_permission || allowed <= 0) return;
  RateLimit limit{allowed, std::chrono::minutes(1)};
  if (!s->rate_limit || limit.per_ms() < s->rate_limit->per_ms()) s->rate_limit = limit;
}

std::vector<int64_t> ReadOffsets(const json::array* array) {
  std::vector<int64_t> offsets;
  if (array == nullptr) return offsets;
  for (const auto& offset : *array) offsets.push_back(offset.is_int64() ? offset.as_int64() : 0);
  return offsets;
}

std::optional<Sink> ReadSink(const json::object* o) {
  if (o == nullptr) return std::nullopt;
  Sink sink;
  sink.url = json::GetString(*o, "url");
  if (const auto* headers = json::GetObject(*o, "headers")) {
    for (const auto& [name, value] : *headers) {
      if (value.is_string()) sink.headers.emplace_back(name, value.as_string());
    }
  }
  if (const auto* auth = json::GetObject(*o, "auth")) {
    sink.auth_secret = json::GetString(*auth, "secret");
  }
  if (const auto* signing = json::GetObject(*o, "signing")) {
    sink.signing_secret = json::GetString(*signing, "secret");
  }
  std::string mode = json::GetString(*o, "mode");
  if (mode == "structured") sink.mode = DeliveryMode::kStructured;
  if (mode == "batch") sink.mode = DeliveryMode::kBatch;
  std::string http = json::GetString(*o, "http");
  if (http == "1.1") sink.http = SinkHttp::kHttp11;
  if (http == "2") sink.http = SinkHttp::kHttp2;
  return sink;
}

bool IsAlnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

template <typename Rest>
bool IsName(std::string_view name, bool (*first)(char), Rest rest) {
  return !name.empty() && name.size() <= 63 && first(name[0]) &&
         std::all_of(name.begin() + 1, name.end(), rest);
}

}  // namespace

Topic ParseTopic(const Uuid& uuid, const std::string& org, const std::string& name, int64_t version,
                 const json::object& document) {
  return {uuid, org, name, version, static_cast<int32_t>(json::GetInt(document, "partitions", 1))};
}

Subscription ParseSubscription(const Uuid& uuid, const std::string& org, const std::string& name,
                               int64_t version, const json::object& document) {
  Subscription s;
  s.uuid = uuid;
  s.org = org;
  s.name = name;
  s.version = version;
  s.topic = json::GetString(document, "topic", "default");
  s.event_type = json::GetString(document, "eventType");
  if (const auto* filters = json::GetArray(document, "filters")) s.filters = *filters;
  s.sink = ReadSink(json::GetObject(document, "sink"));
  s.function = json::GetString(document, "function");
  s.retry = ReadRetry(json::GetObject(document, "retry"));
  s.timeout = ReadDuration(document, "timeout", s.timeout);
  s.max_in_flight = static_cast<int32_t>(json::GetInt(document, "maxInFlight", s.max_in_flight));
  if (json::GetString(document, "ordering") == "key") s.ordering = Ordering::kKey;
  if (json::GetString(document, "onFailure") == "park") s.on_failure = OnFailure::kPark;
  std::string history = json::GetString(document, "history");
  if (history == "all") s.history = History::kAll;
  if (history == "failures") s.history = History::kFailures;
  s.rate_limit = ReadRateLimit(json::GetObject(document, "rateLimit"));
  s.dead_letter_topic = json::GetString(document, "deadLetterTopic");
  s.reply_topic = json::GetString(document, "replyTopic");
  if (const auto* secrets = json::GetArray(document, "secrets")) {
    for (const auto& name : *secrets) {
      if (name.is_string()) s.secrets.emplace_back(name.get_string());
    }
  }
  ReadHandshake(json::GetObject(document, "handshake"), &s);
  s.paused = json::GetBool(document, "paused") || s.awaits_permission;
  if (const auto* internal = json::GetObject(document, "internal")) {
    auto topic_uuid = Uuid::Parse(json::GetString(*internal, "topicUuid"));
    if (topic_uuid.ok()) s.topic_uuid = *topic_uuid;
    s.generation = static_cast<int32_t>(json::GetInt(*internal, "generation", 1));
    s.boundaries = ReadOffsets(json::GetArray(*internal, "boundaries"));
    s.ends = ReadOffsets(json::GetArray(*internal, "ends"));
    s.filter_boundaries = ReadOffsets(json::GetArray(*internal, "filterBoundaries"));
    if (const auto* previous = json::GetObject(*internal, "previous")) {
      s.previous_event_type = json::GetString(*previous, "eventType");
      if (const auto* filters = json::GetArray(*previous, "filters")) s.previous_filters = *filters;
    }
    s.pause_boundaries = ReadOffsets(json::GetArray(*internal, "pauseBoundaries"));
  }
  return s;
}

Subscription ParseReplay(const Uuid& uuid, const std::string& org, int64_t version,
                         const json::object& document) {
  Subscription s =
      ParseSubscription(uuid, org, json::GetString(document, "subscription"), version, document);
  if (const auto* internal = json::GetObject(document, "internal")) {
    auto of = Uuid::Parse(json::GetString(*internal, "subscription"));
    if (of.ok()) s.replay_of = *of;
  }
  return s;
}

bool IsRunningReplay(const json::object& document) {
  return json::GetString(document, "status") == "RUNNING";
}

bool IsCancelledReplay(const json::object& document) {
  return json::GetString(document, "status") == "CANCELLED";
}

Function ParseFunction(const Uuid& uuid, const std::string& org, const std::string& name,
                       int64_t version, const json::object& document) {
  Function f;
  f.uuid = uuid;
  f.org = org;
  f.name = name;
  f.version = version;
  f.runtime = json::GetString(document, "runtime");
  f.url = json::GetString(document, "url");
  f.timeout = ReadDuration(document, "timeout", f.timeout);
  f.serves = !f.url.empty() || json::GetObject(document, "version") != nullptr;
  return f;
}

bool IsObjectName(std::string_view name) {
  return IsName(name, IsAlnum, [](char c) { return IsAlnum(c) || c == '_' || c == '-'; });
}

bool IsTopicName(std::string_view name) {
  return IsName(name, IsAlnum,
                [](char c) { return IsAlnum(c) || c == '_' || c == '-' || c == '.'; });
}

bool IsOrganizationName(std::string_view name) {
  auto lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return name != "dispatch" &&
         IsName(name, lower, [lower](char c) { return lower(c) || c == '-'; });
}

}  // namespace dispatch::schema
