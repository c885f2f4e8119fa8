#include "cli/src/event_batch.h"

#include <fmt/format.h>

#include <thread>

#include "common/clock.h"
#include "common/uuid.h"
#include "schema/rfc3339.h"

namespace dispatch::cli {

namespace {

constexpr int kTries = 5;
constexpr size_t kMaxBytes = 4 * 1024 * 1024;  // the API takes 8 MiB

std::string EventsPath(const std::string& topic) {
  return fmt::format("/v1/topics/{}/events", PercentEncode(topic));
}

bool IsCloudEvent(const json::value& value) {
  return value.is_object() && value.as_object().contains("specversion");
}

}  // namespace

std::string NewEventId() { return Uuid::V7(SystemClock().Now()).ToString(); }

json::object MakeEvent(const EventTemplate& shape, std::string data) {
  auto parsed = json::Parse(data);
  if (parsed.ok() && IsCloudEvent(*parsed)) return std::move(parsed->as_object());
  json::object event{{"specversion", "1.0"},
                     {"id", NewEventId()},
                     {"source", shape.source},
                     {"type", shape.type},
                     {"time", schema::FormatRfc3339(SystemClock().Now())}};
  if (!shape.subject.empty()) event["subject"] = shape.subject;
  if (!shape.partition_key.empty()) event["partitionkey"] = shape.partition_key;
  std::string looks_like = parsed.ok() ? "application/json" : "text/plain";
  event["datacontenttype"] = shape.content_type.empty() ? looks_like : shape.content_type;
  if (parsed.ok()) {
    event["data"] = std::move(*parsed);
  } else if (!data.empty()) {
    event["data"] = std::move(data);
  }
  return event;
}

ApiRequest SingleRequest(const std::string& topic, const EventTemplate& shape,
                         const std::string& id, std::string data) {
  ApiRequest request{.method = "POST", .path = EventsPath(topic)};
  auto parsed = json::Parse(data);
  if (parsed.ok() && IsCloudEvent(*parsed)) {
    request.headers.Set("Content-Type", "application/cloudevents+json");
  } else {
    request.query = {{"type", shape.type}, {"source", shape.source}, {"id", id}};
    if (!shape.subject.empty()) request.query.emplace_back("subject", shape.subject);
    if (!shape.partition_key.empty()) {
      request.query.emplace_back("partitionkey", shape.partition_key);
    }
    std::string looks_like = parsed.ok() ? "application/json" : "text/plain";
    request.headers.Set("Content-Type",
                        shape.content_type.empty() ? looks_like : shape.content_type);
  }
  if (!shape.timing.first.empty()) request.query.push_back(shape.timing);
  request.body = std::move(data);
  return request;
}

Result<ApiAnswer> SendPersistently(Api& api, const ApiRequest& request) {
  for (int attempt = 1;; ++attempt) {
    auto answer = api.Send(request);
    if (answer.ok() || !answer.error().retryable || attempt == kTries) return answer;
    std::this_thread::sleep_for(std::chrono::milliseconds(250 << attempt));
  }
}

Status EventBatch::Add(const json::object& event) {
  body_ += waiting_ == 0 ? "[" : ",";
  body_ += json::Serialize(event);
  ++waiting_;
  return waiting_ >= size_ || body_.size() >= kMaxBytes ? Flush() : OkStatus();
}

Status EventBatch::Flush() {
  if (waiting_ == 0) return {};
  ApiRequest request{.method = "POST", .path = EventsPath(topic_)};
  request.headers.Set("Content-Type", "application/cloudevents-batch+json");
  if (!timing_.first.empty()) request.query = {timing_};
  request.body = std::move(body_) + "]";
  body_.clear();
  auto sent = static_cast<int64_t>(std::exchange(waiting_, 0));
  ASSIGN_OR_RETURN(auto answer, SendPersistently(api_, request));
  if (answer.status != 207) {
    published_ += sent;
    return {};
  }
  // Some were not confirmed.
  ASSIGN_OR_RETURN(auto body, json::ParseObject(answer.body));
  const auto* results = json::GetArray(body, "results");
  int64_t failed = 0;
  std::string reason;
  for (const auto& element : results != nullptr ? *results : json::array()) {
    const auto* result = element.if_object();
    if (result == nullptr || !result->contains("error")) continue;
    ++failed;
    reason = json::GetString(*result, "error");
  }
  published_ += sent - failed;
  return Error{Code::kUnavailable,
               fmt::format("{} of {} events of the last batch were not confirmed: {}", failed, sent,
                           reason)};
}

}  // namespace dispatch::cli
