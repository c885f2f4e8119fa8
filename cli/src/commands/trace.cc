#include <fmt/format.h>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

const json::object* LastAttempt(const json::object& delivery) {
  const auto* attempts = json::GetArray(delivery, "attempts");
  if (attempts == nullptr || attempts->empty()) return nullptr;
  return attempts->back().if_object();
}

std::string AttemptCount(const json::object& delivery) {
  const auto* attempts = delivery.if_contains("attempts");
  if (attempts == nullptr) return "";
  return attempts->is_array() ? std::to_string(attempts->as_array().size()) : CellText(*attempts);
}

std::string LastAnswer(const json::object& delivery) {
  const auto* last = LastAttempt(delivery);
  if (last == nullptr) return "";
  int64_t status = json::GetInt(*last, "status");
  std::string message = json::GetString(*last, "message");
  return !message.empty() ? message : status > 0 ? std::to_string(status) : "";
}

std::string Note(const json::object& delivery) {
  std::string next = json::GetString(delivery, "nextAttempt");
  if (!next.empty()) return "next attempt " + next;
  std::string reason = json::GetString(delivery, "reason");
  std::string message = json::GetString(delivery, "message");
  return reason + (reason.empty() || message.empty() ? "" : ": ") + message;
}

const std::vector<Column>& Columns() {
  static const std::vector<Column> columns = {FieldColumn("SUBSCRIPTION", "subscription"),
                                              FieldColumn("STATUS", "status"),
                                              {"ATTEMPTS", AttemptCount},
                                              {"LAST ANSWER", LastAnswer},
                                              {"NOTE", Note}};
  return columns;
}

struct EventPosition {
  std::string topic;
  std::string partition;
  std::string offset;
};

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// "orders/2@41", as publish prints it, or three words.
Result<EventPosition> PositionOf(const std::vector<std::string>& words) {
  EventPosition position;
  if (words.size() == 1) {
    size_t slash = words[0].rfind('/');
    size_t at = words[0].find('@', slash == std::string::npos ? 0 : slash);
    if (slash != std::string::npos && at != std::string::npos) {
      position = {words[0].substr(0, slash), words[0].substr(slash + 1, at - slash - 1),
                  words[0].substr(at + 1)};
    }
  } else if (words.size() == 3) {
    position = {words[0], words[1], words[2]};
  }
  if (!position.topic.empty() && IsNumber(position.partition) && IsNumber(position.offset)) {
    return position;
  }
  return UsageError("say which event: TOPIC PARTITION OFFSET, or TOPIC/PARTITION@OFFSET");
}

class Trace : public Command {
 public:
  Trace() {
    info_.name = "trace";
    info_.usage = "TOPIC PARTITION OFFSET   or   trace TOPIC/PARTITION@OFFSET";
    info_.summary = "where is my event: what became of it, for each subscription";
    info_.examples = {"dispatch trace orders 2 41", "dispatch trace orders/2@41 -o yaml"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    ASSIGN_OR_RETURN(auto position, PositionOf(invocation.arguments.positionals()));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto found, CallJson(*api, "GET",
                                          fmt::format("/v1/topics/{}/events/{}/{}/deliveries",
                                                      PercentEncode(position.topic),
                                                      position.partition, position.offset)));
    invocation.Print(found, [&]() -> std::string {
      const auto* object = found.if_object();
      const auto* deliveries = object != nullptr ? json::GetArray(*object, "deliveries") : nullptr;
      if (deliveries == nullptr || deliveries->empty()) return "No subscription of the topic.\n";
      return MakeTable(Columns(), *deliveries).Render();
    });
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeTrace() { return std::make_unique<Trace>(); }

}  // namespace dispatch::cli
