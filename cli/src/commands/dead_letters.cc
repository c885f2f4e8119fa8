#include <fmt/format.h>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

std::string Position(const json::object& letter) {
  return fmt::format("{}/{}@{}", json::GetString(letter, "topic"),
                     json::GetInt(letter, "partition"), json::GetInt(letter, "offset"));
}

const std::vector<Column>& Columns() {
  static const std::vector<Column> columns = {FieldColumn("ID", "id"),
                                              TimeColumn("TIME", "deadLetteredTime"),
                                              FieldColumn("TYPE", "eventType"),
                                              FieldColumn("EVENT", "eventId"),
                                              {"POSITION", Position},
                                              FieldColumn("REASON", "reason"),
                                              FieldColumn("ATTEMPTS", "attempts"),
                                              FieldColumn("MESSAGE", "message")};
  return columns;
}

class DeadLetters : public Command {
 public:
  DeadLetters() {
    info_.name = "dead-letters";
    info_.usage = "SUBSCRIPTION [ID]";
    info_.summary = "events that could not be delivered, oldest first";
    info_.text = "With an ID, as the list has it: one of them whole, with the event.\n";
    info_.flags = {{.name = "limit", .value = "N", .help = "at most so many (default 100)"}};
    info_.examples = {"dispatch dead-letters orders-demo --limit 10",
                      "dispatch dead-letters orders-demo 0-17"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 2, "a subscription"));
    ASSIGN_OR_RETURN(auto limit, arguments.Int("limit", 1, 1000));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    const auto& words = arguments.positionals();
    std::string path = fmt::format("/v1/subscriptions/{}/dead-letters", PercentEncode(words[0]));
    if (words.size() == 2) {
      ASSIGN_OR_RETURN(auto letter,
                       CallJson(*api, "GET", fmt::format("{}/{}", path, PercentEncode(words[1]))));
      // One letter is too much for a line.
      Format format = invocation.format == Format::kTable ? Format::kYaml : invocation.format;
      invocation.Print(letter, [&] { return Serialized(letter, format); });
      return {};
    }
    ASSIGN_OR_RETURN(auto list,
                     CallJson(*api, "GET", fmt::format("{}?limit={}", path, limit.value_or(100))));
    if (!list.is_array()) return Error{Code::kInternal, path + " is no list"};
    invocation.Print(list, [&] { return MakeTable(Columns(), list.as_array()).Render(); });
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeDeadLetters() { return std::make_unique<DeadLetters>(); }

}  // namespace dispatch::cli
