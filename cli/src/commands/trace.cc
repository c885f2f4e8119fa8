#include <fmt/format.h>

#include "cli/src/command.h"
#include "cli/src/commands/attempts.h"

namespace dispatch::cli {

namespace {

struct EventPosition {
  std::string topic;
  std::string partition;
  std::string offset;
};

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// "orders/2@41" as publish prints it, "orders/2/41", or three words. Nothing: it is an id.
std::optional<EventPosition> PositionOf(const std::vector<std::string>& words) {
  EventPosition position;
  if (words.size() == 3) {
    position = {words[0], words[1], words[2]};
  } else {
    const std::string& text = words[0];
    size_t last = text.find_last_of("@/");
    size_t slash = last == std::string::npos || last == 0 ? last : text.rfind('/', last - 1);
    if (last == std::string::npos || slash == std::string::npos) return std::nullopt;
    position = {text.substr(0, slash), text.substr(slash + 1, last - slash - 1),
                text.substr(last + 1)};
  }
  bool good = !position.topic.empty() && IsNumber(position.partition) && IsNumber(position.offset);
  return good ? std::optional(position) : std::nullopt;
}

std::string Indented(const std::string& text) {
  std::string out;
  for (size_t start = 0; start < text.size();) {
    size_t end = std::min(text.find('\n', start), text.size() - 1) + 1;
    out += "  " + text.substr(start, end - start);
    start = end;
  }
  return out;
}

// "orders-demo: RETRYING, next attempt 2026-01-01 00:00:00Z", and its attempts.
std::string DeliveryText(const json::object& delivery) {
  std::string line = fmt::format("{}: {}", json::GetString(delivery, "subscription"),
                                 json::GetString(delivery, "status"));
  bool scheduled = json::GetString(delivery, "status") == "SCHEDULED";
  const auto* next = delivery.if_contains("nextAttempt");
  if (next != nullptr && !scheduled) {  // the message says when
    line += ", next attempt " + TimeText(next);
  }
  if (const auto* dead = delivery.if_contains("deadLetteredTime")) line += " at " + TimeText(dead);
  for (const char* field : {"reason", "message"}) {
    std::string text = json::GetString(delivery, field);
    if (!text.empty()) line += ": " + text;
  }
  std::string out = Printable(line) + "\n";
  const auto* attempts = json::GetArray(delivery, "attempts");
  if (attempts != nullptr && !attempts->empty()) {
    out += Indented(MakeTable(AttemptColumns(), *attempts).Render());
  }
  return out;
}

// One event: where it is, what it is as far as we know, and its deliveries.
std::string EventText(const json::object& event) {
  std::string line = fmt::format("{}/{}@{}", json::GetString(event, "topic"),
                                 json::GetInt(event, "partition"), json::GetInt(event, "offset"));
  for (const char* field : {"type", "id", "source", "subject"}) {
    std::string text = json::GetString(event, field);
    if (!text.empty()) line += fmt::format("  {} {}", field, text);
  }
  if (const auto* time = event.if_contains("time")) line += "  at " + TimeText(time);
  std::string out = Printable(line) + "\n";
  const auto* deliveries = json::GetArray(event, "deliveries");
  if (deliveries == nullptr || deliveries->empty()) return out + "No subscription of the topic.\n";
  for (const auto& delivery : *deliveries) {
    if (const auto* object = delivery.if_object()) out += "\n" + DeliveryText(*object);
  }
  return out;
}

Result<json::object> DeliveriesAt(Api& api, const EventPosition& position) {
  std::string path =
      fmt::format("/v1/topics/{}/events/{}/{}/deliveries", PercentEncode(position.topic),
                  position.partition, position.offset);
  ASSIGN_OR_RETURN(auto found, CallJson(api, "GET", path));
  if (!found.is_object()) return Error{Code::kInternal, path + " is no object"};
  return std::move(found.as_object());
}

class Trace : public Command {
 public:
  Trace() {
    info_.name = "trace";
    info_.usage = "EVENT_ID   or   trace TOPIC/PARTITION/OFFSET";
    info_.summary = "where is my event: what became of it, for each subscription";
    info_.text =
        "With each attempt: when, the endpoint's answer and its first words, how long it took.\n"
        "A position may be written TOPIC/PARTITION@OFFSET too, as publish prints it. By id the\n"
        "topics are read backwards from their ends, for some seconds at most.\n";
    info_.flags = {{.name = "topic", .value = "TOPIC", .help = "look for the id only here"},
                   {.name = "id", .help = "the word is an id, whatever it looks like"}};
    info_.examples = {"dispatch trace 0190a6e2-7b1c-7000-8000-000000000001 --topic orders",
                      "dispatch trace orders/2/41", "dispatch trace orders/2@41 -o yaml"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    const auto& words = arguments.positionals();
    if (words.size() != 1 && words.size() != 3) {
      return UsageError("say which event: its id, or TOPIC/PARTITION/OFFSET");
    }
    auto position = arguments.Has("id") ? std::nullopt : PositionOf(words);
    if (position && arguments.Has("topic")) {
      return UsageError("--topic is for an id; the position says its topic (or give --id)");
    }
    if (!position && words.size() == 3) {
      return UsageError("PARTITION and OFFSET are numbers, as in: trace orders 2 41");
    }
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    if (!position) return ById(invocation, *api, words[0]);
    ASSIGN_OR_RETURN(auto found, DeliveriesAt(*api, *position));
    invocation.Print(found, [&] { return EventText(found); });
    return {};
  }

 private:
  static Status ById(Invocation& invocation, Api& api, const std::string& id) {
    std::string path = "/v1/events/" + PercentEncode(id);
    if (auto topic = invocation.arguments.Value("topic")) path += "?topic=" + PercentEncode(*topic);
    ASSIGN_OR_RETURN(auto answer, CallJson(api, "GET", path));
    if (!answer.is_object()) return {Code::kInternal, path + " is no object"};
    json::object& search = answer.as_object();
    json::array events;
    std::string text;
    const auto* found = json::GetArray(search, "found");
    for (const auto& element : found != nullptr ? *found : json::array()) {
      const auto* place = element.if_object();
      if (place == nullptr) continue;
      ASSIGN_OR_RETURN(auto event,
                       DeliveriesAt(api, {json::GetString(*place, "topic"),
                                          std::to_string(json::GetInt(*place, "partition")),
                                          std::to_string(json::GetInt(*place, "offset"))}));
      for (const auto& member : *place) event[member.key()] = member.value();
      event["id"] = id;
      text += (text.empty() ? "" : "\n") + EventText(event);
      events.push_back(std::move(event));
    }
    bool none = events.empty();
    search["found"] = std::move(events);
    if (!none || invocation.format != Format::kTable) {
      invocation.Print(answer, [&] { return text; });
    }
    if (!none) return {};
    bool complete = json::GetBool(search, "complete");
    return {Code::kNotFound,
            fmt::format("no event with the id '{}' was found{}", Printable(id),
                        complete ? ""
                                 : "; older events were not looked at: --topic narrows the "
                                   "search, and a position finds any")};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeTrace() { return std::make_unique<Trace>(); }

}  // namespace dispatch::cli
