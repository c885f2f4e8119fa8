#include "common/otlp/encoding.h"

#include <algorithm>
#include <charconv>

#include "common/json.h"
#include "common/utf8.h"

namespace dispatch::otlp {

namespace {

constexpr size_t kMostText = 1'024;
constexpr int kStatusError = 2;
constexpr int kSampled = 1;

std::string Text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t length = CharacterLength(text);
    if (out.size() + std::max<size_t>(length, 1) > kMostText) break;
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out.append(text, 0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

json::object KeyValue(std::string_view key, json::object value) {
  return {{"key", key}, {"value", std::move(value)}};
}

json::object KeyValue(std::string_view key, const Span::Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    return KeyValue(key, json::object{{"intValue", std::to_string(*number)}});
  }
  return KeyValue(key, json::object{{"stringValue", Text(std::get<std::string>(value))}});
}

std::string Nanoseconds(WallTime time) { return std::to_string(ToMicros(time)) + "000"; }

}  // namespace

std::string EncodeSpan(const Span& span) {
  json::object out{{"traceId", span.context.trace_id}, {"spanId", span.context.span_id}};
  if (!span.parent_id.empty()) out["parentSpanId"] = span.parent_id;
  out["flags"] = kSampled;
  out["name"] = Text(span.name);
  out["kind"] = static_cast<int>(span.kind);
  out["startTimeUnixNano"] = Nanoseconds(span.begun);
  out["endTimeUnixNano"] = Nanoseconds(span.ended);
  json::array attributes;
  for (const auto& [key, value] : span.attributes) attributes.push_back(KeyValue(key, value));
  if (!attributes.empty()) out["attributes"] = std::move(attributes);
  json::array links;
  for (const TraceContext& link : span.links) {
    links.push_back({{"traceId", link.trace_id},
                     {"spanId", link.span_id},
                     {"flags", link.sampled ? kSampled : 0}});
  }
  if (!links.empty()) out["links"] = std::move(links);
  if (span.error) out["status"] = {{"code", kStatusError}, {"message", Text(*span.error)}};
  return json::Serialize(out);
}

Envelope EnvelopeOf(const Resource& resource, std::string_view scope_version) {
  json::array attributes;
  for (const auto& [key, value] : resource) {
    attributes.push_back(KeyValue(key, json::object{{"stringValue", Text(value)}}));
  }
  json::object scope{{"name", "dispatch"}, {"version", scope_version}};
  Envelope out;
  out.head = R"({"resourceSpans":[{"resource":)" +
             json::Serialize(json::object{{"attributes", std::move(attributes)}}) +
             R"(,"scopeSpans":[{"scope":)" + json::Serialize(scope) + R"(,"spans":[)";
  out.tail = "]}]}]}";
  return out;
}

std::optional<PartialSuccess> ReadPartialSuccess(std::string_view body) {
  auto answer = json::ParseObject(body);
  if (!answer.ok()) return std::nullopt;
  const json::object* told = json::GetObject(*answer, "partialSuccess");
  if (told == nullptr) return std::nullopt;
  PartialSuccess out;
  out.message = json::GetString(*told, "errorMessage");
  // An int64 is a string; readers must take numbers too.
  out.rejected = json::GetInt(*told, "rejectedSpans");
  std::string text = json::GetString(*told, "rejectedSpans");
  std::from_chars(text.data(), text.data() + text.size(), out.rejected);
  if (out.rejected <= 0 && out.message.empty()) return std::nullopt;
  return out;
}

}  // namespace dispatch::otlp
