#include "event-manager/src/domain/object_requests.h"

#include <algorithm>

#include "common/config.h"
#include "event-manager/src/domain/filter.h"
#include "schema/objects.h"
#include "schema/request_reader.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

using schema::RequestReader;
using std::chrono::hours;
using std::chrono::milliseconds;

constexpr int64_t kMaxPartitions = 256;

// Fields that clients send along and that only we set; `start` has its own reader.
constexpr std::initializer_list<std::string_view> kReadOnly = {
    "id",           "kind",       "revision", "status", "reason", "org",      "createdTime",
    "modifiedTime", "statistics", "spec",     "groups", "start",  "handshake"};

bool IsEventType(std::string_view type) {
  return type.size() <= 128 && std::all_of(type.begin(), type.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

// {"secret": "<name>"}: credentials are named, never given.
void ReadSecretName(RequestReader& outer, const char* field, json::object& sink) {
  const auto* given = outer.Object(field);
  if (given == nullptr) return;
  RequestReader reader(*given, std::string("sink.") + field);
  std::string name = reader.RequiredString("secret");
  if (!name.empty() && !schema::IsObjectName(name)) reader.Fault("secret", "must name a secret");
  sink[field] = {{"secret", name}};
  reader.Allow({});
  outer.Take(reader);
}

json::object ReadSink(const json::object& given, RequestReader& outer) {
  RequestReader reader(given, "sink");
  json::object sink;
  sink["url"] = reader.RequiredUrl("url");
  std::string mode = reader.String("mode", "binary");
  if (mode != "binary" && mode != "structured" && mode != "batch") {
    reader.Fault("mode", "must be binary, structured or batch");
  }
  sink["mode"] = mode;
  if (const auto* headers = reader.Object("headers")) {
    for (const auto& [name, value] : *headers) {
      bool token = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
      });
      bool text = value.is_string() && value.as_string().find_first_of("\r\n") == std::string::npos;
      if (!token || !text) reader.Fault("headers", "must map header names to one line of text");
    }
    sink["headers"] = *headers;
  }
  std::string http = reader.String("http");
  if (!http.empty() && http != "1.1" && http != "2")
    reader.Fault("http", "must be \"1.1\" or \"2\"");
  if (!http.empty()) sink["http"] = http;
  if (reader.Bool("handshake", false)) sink["handshake"] = true;
  ReadSecretName(reader, "auth", sink);
  ReadSecretName(reader, "signing", sink);
  reader.Allow({});
  outer.Take(reader);
  return sink;
}

json::object ReadRetry(const json::object& given, RequestReader& outer) {
  RequestReader reader(given, "retry");
  schema::RetryPolicy d;
  json::object retry;
  retry["maxAttempts"] = reader.Int("maxAttempts", d.max_attempts, 1, 1000);
  auto min = reader.Duration("minBackoff", d.min_backoff, milliseconds(10), hours(24));
  auto max =
      reader.Duration("maxBackoff", std::max(d.max_backoff, min), milliseconds(10), hours(24 * 7));
  if (max < min) reader.Fault("maxBackoff", "must not be shorter than minBackoff");
  retry["minBackoff"] = FormatDuration(min);
  retry["factor"] = reader.Double("factor", d.factor, 1, 100);
  retry["maxBackoff"] = FormatDuration(max);
  retry["maxAge"] =
      FormatDuration(reader.Duration("maxAge", d.max_age, milliseconds(100), hours(24 * 30)));
  retry["jitter"] = reader.Double("jitter", d.jitter, 0, 1);
  reader.Allow({});
  outer.Take(reader);
  return retry;
}

void ReadOrdering(RequestReader& reader, json::object& document) {
  std::string ordering = reader.String("ordering", "none");
  std::string on_failure = reader.String("onFailure");
  document["ordering"] = ordering;
  if (ordering != "none" && ordering != "key") reader.Fault("ordering", "must be none or key");
  if (ordering != "key") {
    if (!on_failure.empty()) reader.Fault("onFailure", "is for \"ordering\": \"key\" only");
    return;
  }
  if (on_failure.empty()) on_failure = "block";
  if (on_failure != "block" && on_failure != "park") {
    reader.Fault("onFailure", "must be block or park");
  }
  document["onFailure"] = on_failure;
}

void ReadRateLimit(RequestReader& reader, json::object& document) {
  const auto* given = reader.Object("rateLimit");
  if (given == nullptr) return;
  RequestReader inner(*given, "rateLimit");
  if (!inner.Has("events")) inner.Fault("events", "is required: how many in each \"per\"");
  auto events = inner.Int("events", 1, 1, 1'000'000);
  auto per = inner.Duration("per", std::chrono::seconds(1), milliseconds(100), hours(24));
  inner.Allow({});
  reader.Take(inner);
  document["rateLimit"] = {{"events", events}, {"per", FormatDuration(per)}};
}

void ReadTarget(RequestReader& reader, json::object& document) {
  std::string function = reader.String("function");
  const auto* sink = reader.Object("sink");
  if (sink != nullptr) document["sink"] = ReadSink(*sink, reader);
  if (!function.empty()) document["function"] = function;
  if (sink != nullptr && !function.empty()) {
    reader.Fault("function", "cannot be given together with sink");
  } else if (sink == nullptr && function.empty()) {
    reader.Fault("sink", "or function is required: where events are to go");
  }
}

void ReadFilters(RequestReader& reader, json::object& document) {
  std::string type = reader.String("eventType");
  if (!IsEventType(type)) {
    reader.Fault("eventType", "must be at most 128 letters, digits, '_', '-' and '.'");
  }
  if (!type.empty()) document["eventType"] = type;
  const auto* filters = reader.Array("filters");
  if (filters != nullptr) {
    auto parsed = Filter::ParseAll(*filters);
    if (!parsed.ok()) {
      for (const auto& detail : parsed.error().details) reader.Fault(detail.field, detail.reason);
    }
    document["filters"] = *filters;
  } else if (type.empty()) {
    reader.Fault("eventType", "or filters is required; \"filters\": [] takes every event");
  }
}

}  // namespace

Result<json::object> TopicDocument(const json::object& request) {
  RequestReader reader(request);
  json::object document;
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsTopicName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_', '-' and '.', the first a letter or "
                 "a digit");
  }
  document["name"] = name;
  document["kind"] = "Topic";
  document["partitions"] = reader.Int("partitions", 4, 1, kMaxPartitions);
  if (const auto* given = reader.Object("retention")) {
    RequestReader inner(*given, "retention");
    json::object retention;
    auto time = inner.Duration("time", hours(24 * 7), std::chrono::minutes(1), hours(24 * 3650));
    retention["time"] = FormatDuration(time);
    if (inner.Has("bytes")) {
      retention["bytes"] = inner.Int("bytes", 0, 1024 * 1024, int64_t{1} << 50);
    }
    inner.Allow({});
    reader.Take(inner);
    document["retention"] = retention;
  } else {
    document["retention"] = {{"time", "7d"}};
  }
  document["tags"] = reader.Tags();
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

std::vector<std::pair<std::string, std::string>> TopicConfig(const json::object& document) {
  std::vector<std::pair<std::string, std::string>> config;
  const auto* retention = json::GetObject(document, "retention");
  if (retention == nullptr) return config;
  auto time = ParseDuration(json::GetString(*retention, "time", "7d"));
  if (time.ok()) {
    config.emplace_back("retention.ms",
                        std::to_string(std::chrono::duration_cast<milliseconds>(*time).count()));
  }
  config.emplace_back("retention.bytes", std::to_string(json::GetInt(*retention, "bytes", -1)));
  return config;
}

Result<json::object> SubscriptionDocument(const json::object& request) {
  RequestReader reader(request);
  schema::Subscription d;
  json::object document;
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a "
                 "digit");
  }
  document["name"] = name;
  document["kind"] = "Subscription";
  document["topic"] = reader.String("topic", "default");
  ReadFilters(reader, document);
  ReadTarget(reader, document);
  static const json::object kNoRetry;
  const auto* retry = reader.Object("retry");
  document["retry"] = ReadRetry(retry != nullptr ? *retry : kNoRetry, reader);
  document["timeout"] =
      FormatDuration(reader.Duration("timeout", d.timeout, milliseconds(100), hours(1)));
  document["maxInFlight"] = reader.Int("maxInFlight", d.max_in_flight, 1, 10'000);
  document["paused"] = reader.Bool("paused", false);
  std::string history = reader.String("history", "window");
  if (history != "all" && history != "window" && history != "failures") {
    reader.Fault("history", "must be all, window or failures: which attempts are kept");
  }
  document["history"] = history;
  ReadOrdering(reader, document);
  ReadRateLimit(reader, document);
  std::string dead_letters = reader.String("deadLetterTopic");
  if (!dead_letters.empty()) document["deadLetterTopic"] = dead_letters;
  if (dead_letters == json::GetString(document, "topic")) {
    reader.Fault("deadLetterTopic", "must be another topic: it would come again and again");
  }
  std::string replies = reader.String("replyTopic");
  if (!replies.empty()) document["replyTopic"] = replies;
  const auto* sink = json::GetObject(document, "sink");
  if (!replies.empty() && sink != nullptr && json::GetString(*sink, "mode") == "batch") {
    reader.Fault("replyTopic",
                 "cannot be given with sink.mode batch: one answer is for many events");
  }
  if (const auto* secrets = reader.Array("secrets")) document["secrets"] = *secrets;
  document["tags"] = reader.Tags();
  if (request.contains("start") && !request.at("start").is_null()) {
    document["start"] = request.at("start");
    auto start = ParseStart(document);
    if (!start.ok()) reader.Fault("start", start.error().message);
  } else {
    document["start"] = "latest";
  }
  reader.Allow(kReadOnly);
  if (!reader.ok()) return reader.error();
  return document;
}

namespace {

Result<StartAt> ParsePlace(const json::value& value);

}  // namespace

Result<StartAt> ParseStart(const json::object& document) {
  const auto* value = document.if_contains("start");
  if (value == nullptr || value->is_null()) return StartAt{};
  return ParsePlace(*value);
}

Result<StartAt> ParsePlaceOrTime(const json::value& value) {
  auto time = value.is_string() ? schema::ParseRfc3339(value.as_string())
                                : Result<WallTime>(Code::kNotFound, "");
  if (time.ok()) return StartAt{StartAt::Kind::kTime, ToMillis(*time), {}};
  return ParsePlace(value);
}

Result<StartAt> ParseRewind(const json::object& request) {
  RequestReader reader(request);
  reader.RequiredString("name");
  const auto* to = request.if_contains("to");
  if (to == nullptr || to->is_null()) {
    reader.Fault("to", "is required: \"earliest\", \"latest\", a time, or {\"offsets\": [...]}");
  }
  reader.Allow({"to"});
  if (!reader.ok()) return reader.error();
  auto place = ParsePlaceOrTime(*to);
  if (!place.ok()) reader.Fault("to", place.error().message);
  if (!reader.ok()) return reader.error();
  return place;
}

namespace {

Result<StartAt> ParsePlace(const json::value& value) {
  static constexpr char kForms[] =
      "must be \"latest\", \"earliest\", {\"time\": \"2026-01-01T00:00:00Z\"} or {\"offsets\": "
      "[...]}";
  StartAt start;
  if (value.is_string()) {
    if (value.as_string() == "latest") return start;
    start.kind = StartAt::Kind::kEarliest;
    if (value.as_string() == "earliest") return start;
    return Error{Code::kUnprocessable, kForms};
  }
  const auto* object = value.if_object();
  if (object == nullptr || object->size() != 1) return Error{Code::kUnprocessable, kForms};
  if (object->contains("time")) {
    auto time = schema::ParseRfc3339(json::GetString(*object, "time"));
    if (!time.ok()) return Error{Code::kUnprocessable, kForms};
    start.kind = StartAt::Kind::kTime;
    start.time_ms = ToMillis(*time);
    return start;
  }
  const auto* offsets = json::GetArray(*object, "offsets");
  if (offsets == nullptr) return Error{Code::kUnprocessable, kForms};
  start.kind = StartAt::Kind::kOffsets;
  for (const auto& offset : *offsets) {
    if (!offset.is_int64() || offset.as_int64() < 0) {
      return Error{Code::kUnprocessable, "offsets must be whole numbers, one for each partition"};
    }
    start.offsets.push_back(offset.as_int64());
  }
  return start;
}

}  // namespace

}  // namespace dispatch
