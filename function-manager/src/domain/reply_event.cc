#include "function-manager/src/domain/reply_event.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "schema/cloudevents_scan.h"

namespace dispatch {

namespace {

using cloudevents::ContentMode;
using cloudevents::Event;

const std::string* Field(const schema::HeaderList& headers, std::string_view lower) {
  auto it = std::find_if(headers.begin(), headers.end(), [lower](const auto& field) {
    return std::equal(field.first.begin(), field.first.end(), lower.begin(), lower.end(),
                      [](unsigned char a, char b) { return std::tolower(a) == b; });
  });
  return it == headers.end() ? nullptr : &it->second;
}

// The event with an id, when it is an object without one; all else stays as it is.
std::string WithId(std::string body, const std::string& id) {
  cloudevents::JsonScanner scanner(body);
  if (!scanner.Enter('{')) return body;
  bool empty = true;
  std::string key;
  std::string_view value;
  while (scanner.NextMember(&key)) {
    if (key == "id" || !scanner.Value(&value)) return body;
    empty = false;
  }
  if (scanner.failed() || empty) return body;
  std::string member = "{\"id\":";
  cloudevents::AppendJsonString(id, member);
  return body.replace(body.find('{'), 1, member + ",");
}

int HopsOf(const Event& event) {
  const std::string* text = event.Find(kReplyHops);
  int hops = 0;
  if (text == nullptr) return 0;
  auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), hops);
  bool number = fault == std::errc() && end == text->data() + text->size() && hops >= 0;
  // Whoever writes nonsense into it does not get round the limit.
  return number ? hops : kMaxReplyHops;
}

size_t SizeOf(const Event& event) {
  size_t size = event.data ? event.data->size() : 0;
  for (const auto& [name, value] : event.attributes) size += name.size() + value.size();
  return size;
}

}  // namespace

Result<std::optional<Event>> ReplyIn(const schema::HeaderList& headers, std::string body,
                                     const Event& delivered, const std::string& webhook_id) {
  const std::string* type = Field(headers, "content-type");
  auto mode = cloudevents::ModeOf(type != nullptr ? *type : "");
  bool binary = Field(headers, "ce-specversion") != nullptr;
  if (!mode.ok()) return mode.error();
  if (*mode == ContentMode::kBinary && !binary) return std::optional<Event>();
  if (*mode == ContentMode::kBatch) {
    return Error{Code::kInvalidArgument, "the answer is a batch: a reply is one event"};
  }
  std::string id = webhook_id + "-reply";
  schema::HeaderList fields = headers;
  if (Field(headers, "ce-id") == nullptr) fields.emplace_back("ce-id", id);
  auto event = *mode == ContentMode::kStructured
                   ? cloudevents::FromJson(WithId(std::move(body), id))
                   : cloudevents::FromHttpBinary(fields, std::move(body));
  if (!event.ok()) return event.error();
  int hops = HopsOf(delivered) + 1;
  if (hops > kMaxReplyHops) {
    return Error{Code::kConflict,
                 fmt::format("the reply would be the {}th in a row, each an answer to the one "
                             "before: most likely a loop, at most {} are published",
                             hops, kMaxReplyHops)};
  }
  event->Set(kReplyHops, std::to_string(hops));
  if (SizeOf(*event) > kMaxReplyBytes) {
    return Error{Code::kTooLarge, fmt::format("the reply has {} bytes: at most {} are published",
                                              SizeOf(*event), kMaxReplyBytes)};
  }
  return std::optional(std::move(*event));
}

}  // namespace dispatch
