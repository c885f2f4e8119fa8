#include <fmt/format.h>

#include <charconv>

#include "common/crypto.h"
#include "common/json.h"
#include "schema/cloudevents.h"
#include "schema/cloudevents_scan.h"
#include "schema/cloudevents_text.h"
#include "schema/cloudevents_upgrade.h"

// The JSON format (sections 2 to 4): members are found in the text, so that `data` keeps its bytes.
namespace dispatch::cloudevents {

namespace {

struct Member {
  std::string name;
  std::string_view span;
};

// One object of the text as it stands. The text was read to the object's end, whatever is wrong
// with the event in it.
struct Members {
  std::vector<Member> list;
  std::optional<std::string> duplicate;  // a key that came twice, at any depth

  const Member* Find(std::string_view name) const {
    for (const Member& member : list) {
      if (member.name == name) return &member;
    }
    return nullptr;
  }
};

Error Invalid(std::string_view field, std::string_view reason) {
  return {Code::kInvalidArgument,
          fmt::format("not a CloudEvent: {} {}", field, reason),
          false,
          {{std::string(field), std::string(reason)}}};
}

// False when the text is no JSON.
bool ReadMembers(JsonScanner& scanner, Members* members) {
  if (!scanner.Enter('{')) return false;
  Member member;
  while (scanner.NextMember(&member.name)) {
    if (!scanner.Value(&member.span)) return false;
    members->list.push_back(std::move(member));
  }
  members->duplicate = scanner.TakeDuplicate();
  return !scanner.failed();
}

bool IsString(std::string_view span) { return span.front() == '"'; }
bool IsNull(std::string_view span) { return span == "null"; }

// Boolean and Integer have their JSON text as canonical string (spec section 3.1).
Result<std::string> AttributeValue(const Member& member) {
  std::string_view span = member.span;
  if (IsString(span)) return DecodeJsonString(span);
  if (span == "true" || span == "false") return std::string(span);
  int32_t number = 0;
  auto [end, fault] = std::from_chars(span.data(), span.data() + span.size(), number);
  if (fault != std::errc() || end != span.data() + span.size()) {
    return Invalid(member.name, "must be a string, a boolean or a 32-bit integer");
  }
  return std::to_string(number);
}

// A text payload in the charset that its media type names.
Result<std::string> EncodeText(std::string text, const MediaType& type) {
  if (type.IsUtf8()) return text;
  bool latin = type.charset == "iso-8859-1";
  if (!latin && type.charset != "us-ascii") {
    return Invalid("data",
                   fmt::format("cannot be put into charset {}: use data_base64", type.charset));
  }
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<uint8_t>(text[i]);
    // Two bytes of UTF-8 that begin so are U+0080 to U+00FF.
    if (latin && (c == 0xc2 || c == 0xc3)) {
      out += static_cast<char>((c & 3) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
    } else if (c < 0x80) {
      out += text[i];
    } else {
      return Invalid("data", fmt::format("has characters that charset {} lacks: use data_base64",
                                         type.charset));
    }
  }
  return out;
}

// The payload's bytes of a `data` member.
Result<std::string> DataBytes(std::string_view span, std::string_view content_type) {
  MediaType type(content_type);
  if (content_type.empty() || type.IsJson()) return std::string(span);
  if (!IsString(span)) {
    return Invalid(
        "data", fmt::format("must be a string, as datacontenttype {} is not JSON", content_type));
  }
  return EncodeText(DecodeJsonString(span), type);
}

Result<std::string> Base64Bytes(const Member& member) {
  if (!IsString(member.span)) return Invalid(member.name, "must be a string");
  auto bytes = crypto::Base64Decode(DecodeJsonString(member.span));
  if (!bytes.ok()) return Invalid(member.name, "is not base64 (RFC 4648, section 4)");
  return bytes;
}

Result<Event> Upgrade(const Members& members) {
  Upgrade01 upgrade;
  const Member* data = nullptr;
  for (const Member& member : members.list) {
    if (IsNull(member.span) && member.name != "data") continue;
    if (member.name == "data") {
      data = &member;
    } else if (member.name == "extensions") {
      ASSIGN_OR_RETURN(json::object extensions, json::ParseObject(member.span));
      for (const auto& [name, value] : extensions) {
        if (value.is_null()) continue;
        upgrade.AddExtension(
            name, value.is_string() ? std::string(value.get_string()) : json::Serialize(value));
      }
    } else {
      ASSIGN_OR_RETURN(std::string value, AttributeValue(member));
      if (!upgrade.AddField(member.name, value)) upgrade.AddExtension(member.name, value);
    }
  }
  if (data != nullptr) {
    const std::string* type = upgrade.ContentType();
    ASSIGN_OR_RETURN(std::string bytes, DataBytes(data->span, type ? *type : std::string()));
    if (type == nullptr) upgrade.AddField("contentType", "application/json");
    upgrade.SetData(std::move(bytes));
  }
  return upgrade.Finish();
}

Result<Event> ToEvent(const Members& members) {
  if (members.duplicate) {
    return Invalid(*members.duplicate, "comes twice in one JSON object");
  }
  if (members.Find("specversion") == nullptr && members.Find("cloudEventsVersion") != nullptr) {
    return Upgrade(members);
  }
  Event event;
  event.attributes.reserve(members.list.size());
  const Member* data = nullptr;
  const Member* base64 = nullptr;
  for (const Member& member : members.list) {
    if (member.name == "data") {
      data = &member;
    } else if (IsNull(member.span)) {
      continue;
    } else if (member.name == "data_base64") {
      base64 = &member;
    } else {
      ASSIGN_OR_RETURN(std::string value, AttributeValue(member));
      event.attributes.emplace_back(member.name, std::move(value));
    }
  }
  if (data != nullptr && base64 != nullptr) {
    return Invalid("data_base64", "excludes data: send one of them");
  }
  if (data != nullptr) {
    const std::string* type = event.Find("datacontenttype");
    ASSIGN_OR_RETURN(event.data, DataBytes(data->span, type ? *type : std::string()));
    // Outside JSON nothing would tell any more that the payload is JSON (section 3.1.1).
    if (type == nullptr) event.Set("datacontenttype", "application/json");
  } else if (base64 != nullptr) {
    ASSIGN_OR_RETURN(event.data, Base64Bytes(*base64));
  }
  RETURN_IF_ERROR(Validate(event));
  return event;
}

Error NotJson(const JsonScanner& scanner) { return {Code::kInvalidArgument, scanner.fault()}; }

Result<Members> ReadDocument(std::string_view text) {
  JsonScanner scanner(text);
  Members members;
  if (!ReadMembers(scanner, &members) || !scanner.AtEnd()) return NotJson(scanner);
  return members;
}

void AppendData(const std::string& data, const std::string* content_type, std::string& out) {
  if (content_type != nullptr) {
    MediaType type(*content_type);
    if (type.IsJson() && type.IsUtf8() && IsStrictJson(data)) {
      out += ",\"data\":";
      out += data;
      return;
    }
    if (type.IsText() && (type.IsUtf8() || type.charset == "us-ascii") && IsUtf8(data)) {
      out += ",\"data\":";
      AppendJsonString(data, out);
      return;
    }
  }
  out += ",\"data_base64\":\"";
  out += crypto::Base64Encode(data);
  out += '"';
}

}  // namespace

Result<Event> FromJson(std::string_view text) {
  ASSIGN_OR_RETURN(Members members, ReadDocument(text));
  return ToEvent(members);
}

Result<std::vector<Result<Event>>> FromJsonBatch(std::string_view text) {
  JsonScanner scanner(text);
  std::vector<Result<Event>> events;
  if (!scanner.Enter('[')) return NotJson(scanner);
  while (scanner.NextElement()) {
    if (scanner.Peek() != '{') {
      std::string_view span;
      if (!scanner.Value(&span)) break;
      events.emplace_back(Code::kInvalidArgument, "not a CloudEvent: an object is expected");
      continue;
    }
    Members members;
    if (!ReadMembers(scanner, &members)) break;
    events.push_back(ToEvent(members));
  }
  if (!scanner.AtEnd()) return NotJson(scanner);
  return events;
}

std::string ToJson(const Event& event) {
  std::string out = "{";
  for (const auto& [name, value] : event.attributes) {
    if (out.size() > 1) out += ',';
    AppendJsonString(name, out);
    out += ':';
    AppendJsonString(value, out);
  }
  if (event.data) AppendData(*event.data, event.Find("datacontenttype"), out);
  out += '}';
  return out;
}

Result<Event> UpgradeFrom01(std::string_view text) {
  ASSIGN_OR_RETURN(Members members, ReadDocument(text));
  if (members.duplicate) {
    return Invalid(*members.duplicate, "comes twice in one JSON object");
  }
  return Upgrade(members);
}

}  // namespace dispatch::cloudevents
