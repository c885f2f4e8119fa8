#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"
#include "common/crypto.h"
#include "common/uuid.h"
#include "schema/rfc3339.h"

namespace dispatch::cli {

namespace {

bool IsJson(std::string_view type) {
  return type.empty() || type == "application/json" || type.find("+json") != std::string_view::npos;
}

class Emit : public Command {
 public:
  Emit() {
    info_.name = "emit";
    info_.usage = "TYPE [--data DATA | --data-from-file FILE] [FLAGS]";
    info_.summary = "send one event, as VMware's command does";
    info_.text =
        "An event of CloudEvents 0.1 into the topic `default`, where subscriptions that name no\n"
        "topic wait for it. `dispatch publish` sends many, and to any topic.\n";
    info_.flags = {
        {.name = "data", .value = "JSON", .help = "what it carries"},
        {.name = "data-from-file", .value = "FILE", .help = "the same, of a file (-: of a pipe)"},
        {.name = "binary", .help = "it is bytes: they are sent as base64"},
        {.name = "content-type",
         .value = "TYPE",
         .help = "of the data (default application/json; text is sent as it is)"},
        {.name = "source-id", .value = "SOURCE", .help = "who sends it (default dispatch)"},
        {.name = "event-id", .value = "ID", .help = "default: a new UUID"},
        {.name = "event-type-version", .value = "VERSION", .help = "version of the type"},
        {.name = "event-schema-url", .value = "URL", .help = "schema of the data"},
        {.name = "topic", .value = "TOPIC", .help = "into this topic (default: default)"}};
    info_.examples = {R"(dispatch emit user.created --data '{"name": "Jon"}')",
                      "dispatch emit photo.taken --data-from-file p.jpg --binary --content-type "
                      "image/jpeg"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "the type of the event"));
    std::string id = arguments.ValueOr("event-id", Uuid::V7(invocation.environment.now).ToString());
    json::object event{{"cloudEventsVersion", "0.1"},
                       {"eventType", arguments.positionals()[0]},
                       {"source", arguments.ValueOr("source-id", "dispatch")},
                       {"eventID", id},
                       {"eventTime", schema::FormatRfc3339(invocation.environment.now)}};
    FillText(arguments, "event-type-version", event, "eventTypeVersion");
    FillText(arguments, "event-schema-url", event, "schemaURL");
    RETURN_IF_ERROR(FillData(arguments, event));
    std::string path = "/v1/event";
    if (auto topic = arguments.Value("topic")) path += "?topic=" + PercentEncode(*topic);
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto sent, CallJson(*api, "POST", path, event));
    invocation.Print(sent, [] { return std::string("event emitted\n"); });
    return {};
  }

 private:
  static Status FillData(const Arguments& arguments, json::object& event) {
    auto text = arguments.Value("data");
    auto file = arguments.Value("data-from-file");
    if (text && file) return UsageError("give --data or --data-from-file, not both");
    if (file) {
      ASSIGN_OR_RETURN(text, ReadFile(*file));
    }
    bool binary = arguments.Has("binary");
    std::string type =
        arguments.ValueOr("content-type", binary ? "application/octet-stream" : "application/json");
    if (!text) {
      FillText(arguments, "content-type", event, "contentType");
      return {};
    }
    event["contentType"] = type;
    if (binary) {
      event["data"] = crypto::Base64Encode(*text);
      return {};
    }
    if (!IsJson(type)) {
      event["data"] = *text;
      return {};
    }
    auto data = json::Parse(*text);
    if (!data.ok()) {
      return UsageError(fmt::format(
          "the data is no JSON: {}; give --content-type text/plain for text, --binary for bytes",
          data.message()));
    }
    event["data"] = std::move(*data);
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeEmit() { return std::make_unique<Emit>(); }

}  // namespace dispatch::cli
