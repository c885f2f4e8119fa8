#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/follow.h"
#include "cli/src/yaml.h"

namespace dispatch::cli {

namespace {

constexpr size_t kDataShown = 200;

std::string DataText(const json::object& event) {
  if (const auto* data = event.if_contains("data")) return CellText(*data);
  std::string bytes = json::GetString(event, "data_base64");
  return bytes.empty() ? "" : fmt::format("base64:{}", bytes);
}

// "2026-11-21 16:00:01Z  orders/2@41  order.created  id=7  {"n":1}".
std::string LineOf(const std::string& topic, const json::object& item) {
  std::string line = fmt::format("{}  {}/{}@{}", TimeText(item.if_contains("time")), topic,
                                 json::GetInt(item, "partition"), json::GetInt(item, "offset"));
  const auto* event = json::GetObject(item, "event");
  if (event == nullptr) {
    line += "  is no CloudEvent: " + json::GetString(item, "error");
    return Printable(line) + "\n";
  }
  line += "  " + json::GetString(*event, "type") + "  id=" + json::GetString(*event, "id");
  for (const auto& [label, attribute] :
       {std::pair{"key", "partitionkey"}, std::pair{"subject", "subject"}}) {
    std::string value = json::GetString(*event, attribute);
    if (!value.empty()) line += fmt::format("  {}={}", label, value);
  }
  line += "  " + Cut(DataText(*event), kDataShown);
  return Printable(line) + "\n";
}

/// One `tail`.
class TopicFollower {
 public:
  TopicFollower(Invocation& invocation, Api& api, std::string topic, std::optional<int64_t> limit)
      : invocation_(invocation), api_(api), topic_(std::move(topic)), left_(limit) {}

  Status Run() {
    return Follow(invocation_, api_,
                  {.request = [this] { return Request(); },
                   .take = [this](const ServerSentEvent& event,
                                  const json::object& item) { return OnEvent(event, item); }});
  }

 private:
  ApiRequest Request() const {
    const Arguments& arguments = invocation_.arguments;
    ApiRequest request{.path = fmt::format("/v1/topics/{}/events", PercentEncode(topic_)),
                       .query = {{"follow", "true"}}};
    for (const char* name : {"from", "filter"}) {
      if (auto value = arguments.Value(name)) request.query.emplace_back(name, *value);
    }
    if (left_) request.query.emplace_back("limit", std::to_string(*left_));
    return request;
  }

  bool OnEvent(const ServerSentEvent& event, const json::object& item) {
    if (event.type == "lost") {
      std::string to = item.contains("to") ? fmt::format(" to {}", json::GetInt(item, "to")) : "";
      Note(invocation_, fmt::format("partition {}: events from offset {}{} are lost: {}",
                                    json::GetInt(item, "partition"), json::GetInt(item, "from"), to,
                                    json::GetString(item, "reason")));
    } else if (event.type == "message") {
      Show(item, event.data);
      if (left_) --*left_;
    }
    return left_ != 0;
  }

  void Show(const json::object& item, const std::string& text) {
    switch (invocation_.format) {
      case Format::kTable:
        invocation_.out << LineOf(topic_, item);
        break;
      case Format::kJson:
        invocation_.out << text << "\n";
        break;
      case Format::kYaml:
        invocation_.out << "---\n" << ToYaml(item);
        break;
    }
  }

  Invocation& invocation_;
  Api& api_;
  std::string topic_;
  std::optional<int64_t> left_;
};

class Tail : public Command {
 public:
  Tail() {
    info_.name = "tail";
    info_.usage = "TOPIC [FLAGS]";
    info_.summary = "show the events of a topic as they come";
    info_.text =
        "Goes on until Ctrl-C, or --limit. A connection that breaks is made again and goes on\n"
        "behind the last event shown: none is missed, none is shown twice. With -o json each line\n"
        "is an event with its position; the table cuts long data.\n";
    info_.flags = {
        {.name = "filter", .value = "CESQL", .help = "only events that it holds for"},
        {.name = "from",
         .value = "WHERE",
         .help = "latest (default), earliest, a time, or PARTITION:OFFSET,..."},
        {.name = "limit", .value = "N", .help = "end after so many events", .letter = 'n'}};
    info_.examples = {"dispatch tail orders",
                      "dispatch tail orders --from earliest --filter \"type LIKE 'order.%'\"",
                      "dispatch tail orders -o json | jq .event.data"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a topic"));
    ASSIGN_OR_RETURN(auto limit, arguments.Int("limit", 1, int64_t{1} << 40));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    return TopicFollower(invocation, *api, arguments.positionals()[0], limit).Run();
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeTail() { return std::make_unique<Tail>(); }

}  // namespace dispatch::cli
