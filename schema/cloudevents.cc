#include "schema/cloudevents.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/cloudevents_text.h"
#include "schema/cloudevents_upgrade.h"

namespace dispatch::cloudevents {

namespace {

constexpr std::string_view kStructuredPrefix = "application/cloudevents";
constexpr std::string_view kBatchPrefix = "application/cloudevents-batch";
constexpr std::string_view kHttpPrefix = "ce-";
constexpr std::string_view kKafkaPrefix = "ce_";
constexpr std::string_view kKafkaContentType = "content-type";
constexpr std::string_view kOldVersionField = "ce-cloudeventsversion";

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool StartsWithIgnoreCase(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char p, char c) { return p == Lower(c); });
}
bool EqualsIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() && StartsWithIgnoreCase(text, lower);
}

std::string Lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = Lower(c);
  return out;
}

Error Invalid(std::string_view attribute, std::string_view reason) {
  return {Code::kInvalidArgument,
          fmt::format("not a CloudEvent: {} {}", attribute, reason),
          false,
          {{std::string(attribute), std::string(reason)}}};
}

// Why the value of one attribute is not valid; empty when it is.
std::string_view ValueFault(std::string_view name, std::string_view value) {
  if (auto fault = AttributeTextFault(value); !fault.empty()) return fault;
  if (name == "specversion") {
    return value == "1.0" ? "" : "must be 1.0 (0.1 is known by cloudEventsVersion)";
  }
  if (name == "id" || name == "type" || name == "subject" || name == "datacontenttype") {
    return value.empty() ? "must not be empty" : "";
  }
  if (name == "source") return IsUriReference(value) ? "" : "must be a URI-reference, not empty";
  if (name == "dataschema") return IsAbsoluteUri(value) ? "" : "must be an absolute URI";
  if (name == "time") {
    return IsTimestamp(value) ? "" : "must be an RFC 3339 time, as 2026-01-31T12:00:00Z";
  }
  return {};
}

// 0.1 in binary mode: `CE-X-` extensions; values may be JSON strings.
Result<Event> UpgradeHttpBinary(const schema::HeaderList& headers, std::string body) {
  auto unquoted = [](std::string_view value) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    return std::string(value);
  };
  Upgrade01 upgrade;
  for (const auto& [name, value] : headers) {
    if (EqualsIgnoreCase(name, kKafkaContentType)) {
      upgrade.AddField("contenttype", value);
    } else if (StartsWithIgnoreCase(name, "ce-x-")) {
      upgrade.AddExtension(std::string_view(name).substr(5), unquoted(value));
    } else if (StartsWithIgnoreCase(name, kHttpPrefix)) {
      std::string_view field = std::string_view(name).substr(kHttpPrefix.size());
      if (!upgrade.AddField(field, unquoted(value))) upgrade.AddExtension(field, unquoted(value));
    }
  }
  if (!body.empty()) upgrade.SetData(std::move(body));
  return upgrade.Finish();
}

Status AddUnique(Event& event, std::string name, std::string value) {
  if (event.Find(name) != nullptr) return Invalid(name, "comes twice");
  event.attributes.emplace_back(std::move(name), std::move(value));
  return {};
}

}  // namespace

const std::string* Event::Find(std::string_view name) const {
  for (const auto& [attribute, value] : attributes) {
    if (attribute == name) return &value;
  }
  return nullptr;
}

void Event::Set(std::string_view name, std::string value) {
  for (auto& [attribute, old] : attributes) {
    if (attribute == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

Status Validate(const Event& event) {
  for (std::string_view required : {"specversion", "id", "source", "type"}) {
    if (event.Find(required) == nullptr) return Invalid(required, "is missing");
  }
  for (const auto& [name, value] : event.attributes) {
    if (!IsAttributeName(name) || name == "data") {
      return Invalid(name, "is no attribute name: lower-case letters and digits, not \"data\"");
    }
    if (auto fault = ValueFault(name, value); !fault.empty()) return Invalid(name, fault);
  }
  return {};
}

Result<ContentMode> ModeOf(std::string_view content_type) {
  if (!StartsWithIgnoreCase(content_type, kStructuredPrefix)) return ContentMode::kBinary;
  bool batch = StartsWithIgnoreCase(content_type, kBatchPrefix);
  MediaType type(content_type);
  std::string expected = fmt::format("{}+json", batch ? kBatchPrefix : kStructuredPrefix);
  if (type.essence != expected || !type.IsUtf8()) {
    return {Code::kUnsupportedMedia,
            fmt::format("{} is not supported: send {} in UTF-8", content_type, expected)};
  }
  return batch ? ContentMode::kBatch : ContentMode::kStructured;
}

Result<Event> FromHttpBinary(const schema::HeaderList& headers, std::string body) {
  Event event;
  event.attributes.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    if (EqualsIgnoreCase(name, kKafkaContentType)) {
      RETURN_IF_ERROR(AddUnique(event, "datacontenttype", value));
    } else if (StartsWithIgnoreCase(name, kHttpPrefix)) {
      if (EqualsIgnoreCase(name, kOldVersionField)) {
        return UpgradeHttpBinary(headers, std::move(body));
      }
      std::string attribute = Lowered(std::string_view(name).substr(kHttpPrefix.size()));
      if (attribute == "datacontenttype") return Invalid(name, "is the Content-Type field");
      auto decoded = DecodeHeaderValue(value);
      if (!decoded) return Invalid(attribute, "is not percent-encoded UTF-8");
      RETURN_IF_ERROR(AddUnique(event, std::move(attribute), std::move(*decoded)));
    }
  }
  if (!body.empty()) event.data = std::move(body);
  RETURN_IF_ERROR(Validate(event));
  return event;
}

schema::HeaderList ToHttpHeaders(const Event& event) {
  schema::HeaderList headers;
  headers.reserve(event.attributes.size());
  for (const auto& [name, value] : event.attributes) {
    if (name == "datacontenttype") {
      headers.emplace_back("Content-Type", value);
    } else {
      headers.emplace_back(std::string(kHttpPrefix) += name, EncodeHeaderValue(value));
    }
  }
  return headers;
}

schema::EventData ToKafka(Event event) {
  schema::EventData out;
  if (const std::string* key = event.Find("partitionkey")) out.key = *key;
  out.headers = std::move(event.attributes);
  for (auto& header : out.headers) {
    if (header.first == "datacontenttype") {
      header.first = kKafkaContentType;
    } else {
      header.first.insert(0, kKafkaPrefix);
    }
  }
  out.value = std::move(event.data);
  return out;
}

Result<Event> FromKafka(const schema::EventData& data) {
  return FromKafka(data.headers, data.value);
}

Result<Event> FromKafka(const schema::HeaderList& headers, const std::optional<std::string>& data) {
  const std::string* content_type = nullptr;
  Event event;
  event.attributes.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    if (name == kKafkaContentType) {
      if (content_type != nullptr) return Invalid("content-type", "comes twice");
      content_type = &value;
      event.attributes.emplace_back("datacontenttype", value);
    } else if (name.starts_with(kKafkaPrefix)) {
      RETURN_IF_ERROR(AddUnique(event, name.substr(kKafkaPrefix.size()), value));
    }
  }
  if (content_type != nullptr && StartsWithIgnoreCase(*content_type, kStructuredPrefix)) {
    auto mode = ModeOf(*content_type);
    if (!mode.ok() || *mode != ContentMode::kStructured) {
      return Invalid("content-type", fmt::format("{} is not supported", *content_type));
    }
    if (!data) return Invalid("data", "is missing: the record has no value");
    return FromJson(*data);
  }
  event.data = data;
  RETURN_IF_ERROR(Validate(event));
  return event;
}

}  // namespace dispatch::cloudevents
