#include "function-manager/src/domain/function_event.h"

#include <algorithm>
#include <map>

#include "common/crypto.h"
#include "schema/cloudevents_text.h"

namespace dispatch {

namespace {

constexpr size_t kHeadBytes = 1024;

// Attributes of 1.0 that 0.1 has under another name; all others are its extensions.
const std::map<std::string, std::string, std::less<>>& OldNames() {
  static const std::map<std::string, std::string, std::less<>> names{
      {"type", "eventType"},
      {"id", "eventID"},
      {"source", "source"},
      {"time", "eventTime"},
      {"dataschema", "schemaURL"},
      {"datacontenttype", "contentType"},
      {"eventtypeversion", "eventTypeVersion"},
  };
  return names;
}

json::value InputOf(const cloudevents::Event& event) {
  if (!event.data || event.data->empty()) return nullptr;
  const std::string* type = event.Find("datacontenttype");
  if (type == nullptr || cloudevents::MediaType(*type).IsJson()) {
    auto value = json::Parse(*event.data, json::kDataDepth);
    if (value.ok()) return *value;
  }
  // A text that JSON can hold is given as one.
  json::value text(*event.data);
  if (json::Parse(json::Serialize(text)).ok()) return text;
  return json::value(crypto::Base64Encode(*event.data));
}

}  // namespace

std::string FunctionUrl(const std::string& org, const std::string& name) {
  return kFunctionScheme + name + "." + org;
}

std::string FunctionOf(std::string_view url) {
  std::string_view scheme = kFunctionScheme;
  if (!url.starts_with(scheme)) return {};
  url.remove_prefix(scheme.size());
  return std::string(url.substr(0, url.find('.')));
}

RunRequest EventRun(const cloudevents::Event& event) {
  json::object envelope{{"cloudEventsVersion", "0.1"}};
  json::object extensions;
  for (const auto& [name, value] : event.attributes) {
    if (name == "specversion") continue;
    auto old = OldNames().find(name);
    (old != OldNames().end() ? envelope
                             : extensions)[old != OldNames().end() ? old->second : name] = value;
  }
  if (!extensions.empty()) envelope["extensions"] = std::move(extensions);
  envelope["data"] = nullptr;
  RunRequest request;
  request.event = std::move(envelope);
  request.input = InputOf(event);
  return request;
}

Answer AnswerOf(const RunOutcome& outcome) {
  Answer answer;
  answer.elapsed = outcome.elapsed;
  if (!outcome.error) {
    answer.status = 200;
    return answer;
  }
  answer.message = outcome.error->message;
  if (outcome.error->type == kSystemError) {
    answer.failure = "function";
    return answer;
  }
  answer.status = outcome.error->type == kInputError ? 422 : 500;
  answer.head = (outcome.error->type + ": " + outcome.error->message).substr(0, kHeadBytes);
  return answer;
}

}  // namespace dispatch
