#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/src/command.h"
#include "cli/src/event_batch.h"
#include "cli/src/progress.h"

namespace dispatch::cli {

namespace {

constexpr int64_t kMaxBatch = 1000;  // of the API
constexpr int64_t kDefaultBatch = 100;

// How much of a file was read, when it is one.
class ReadShare {
 public:
  explicit ReadShare(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return;
    auto size = std::filesystem::file_size(path, error);
    if (!error) total_ = static_cast<double>(size);
  }
  void Add(size_t bytes) { read_ += static_cast<double>(bytes); }
  double value() const { return total_ > 0 ? read_ / total_ : -1; }

 private:
  double total_ = 0;
  double read_ = 0;
};

Result<std::string> Payload(const Invocation& invocation) {
  const Arguments& arguments = invocation.arguments;
  auto data = arguments.Value("data");
  auto file = arguments.Value("file");
  if (data && file) return UsageError("--data and --file exclude each other");
  if (data) return *data;
  if (file) return ReadFile(*file);
  if (isatty(STDIN_FILENO) != 0) {
    return UsageError("nothing to publish: give --data or --file, or pipe it in");
  }
  return ReadFile("-");
}

class Publish : public Command {
 public:
  Publish() {
    info_.name = "publish";
    info_.usage = "TOPIC [FLAGS]";
    info_.summary = "publish events to a topic";
    info_.text =
        "The data is --data, the content of --file, or standard input. Data that is a CloudEvent\n"
        "(a JSON object with specversion) is published as it is. The answer comes when Kafka has\n"
        "confirmed the event; it says where it is, as TOPIC/PARTITION@OFFSET for `dispatch "
        "trace`.\n"
        "With --batch every line is an event of its own; with --count the same data is published\n"
        "again and again, under new ids.\n";
    info_.flags = {
        {.name = "type", .value = "TYPE", .help = "CloudEvents type (default dispatch.event)"},
        {.name = "source", .value = "URI", .help = "CloudEvents source (default dispatch-cli)"},
        {.name = "id", .value = "ID", .help = "CloudEvents id (default: a new one)"},
        {.name = "subject", .value = "TEXT", .help = "CloudEvents subject"},
        {.name = "key",
         .value = "KEY",
         .help = "partition key: events of one key keep their order"},
        {.name = "delay",
         .value = "DURATION",
         .help = "deliver so long after now, as 90s, 10m or 2h (at most 30d)"},
        {.name = "deliver-at",
         .value = "TIME",
         .help = "deliver at that time and not before (RFC 3339)"},
        {.name = "data", .value = "TEXT", .help = "the data, JSON or other text"},
        {.name = "file",
         .value = "FILE",
         .help = "file of the data; - is standard input",
         .letter = 'f'},
        {.name = "content-type",
         .value = "TYPE",
         .help = "of the data (default: what it looks like)"},
        {.name = "batch", .value = "N", .help = "each line is an event; send N at once"},
        {.name = "count", .value = "N", .help = "publish N events of the same data"}};
    info_.examples = {
        "dispatch publish orders --type order.created --data '{\"id\": 7}'",
        "dispatch publish orders --type order.created --batch 500 --file orders.jsonl",
        "dispatch publish orders --type order.remind --delay 24h --data '{\"id\": 7}'",
        "curl -s https://example.com/feed | dispatch publish feed --type feed.read",
        "dispatch publish load --type test --data '{}' --count 100000"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a topic"));
    const std::string& topic = arguments.positionals()[0];
    ASSIGN_OR_RETURN(auto batch, arguments.Int("batch", 1, kMaxBatch));
    ASSIGN_OR_RETURN(auto count, arguments.Int("count", 1, int64_t{1} << 40));
    EventTemplate shape{.type = arguments.ValueOr("type", "dispatch.event"),
                        .source = arguments.ValueOr("source", "dispatch-cli"),
                        .subject = arguments.ValueOr("subject", ""),
                        .partition_key = arguments.ValueOr("key", ""),
                        .content_type = arguments.ValueOr("content-type", "")};
    if ((batch || count) && arguments.Has("id")) {
      return UsageError("--id is for one event: not with --batch or --count");
    }
    if (arguments.Has("delay") && arguments.Has("deliver-at")) {
      return UsageError("--delay and --deliver-at exclude each other");
    }
    if (auto delay = arguments.Value("delay")) shape.timing = {"delay", *delay};
    if (auto at = arguments.Value("deliver-at")) shape.timing = {"deliverAt", *at};
    if (count) return Repeat(invocation, topic, shape, *count, batch.value_or(kDefaultBatch));
    if (batch) return Lines(invocation, topic, shape, static_cast<size_t>(*batch));
    return One(invocation, topic, shape);
  }

 private:
  static Status One(Invocation& invocation, const std::string& topic, const EventTemplate& shape) {
    ASSIGN_OR_RETURN(std::string data, Payload(invocation));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    std::string id = invocation.arguments.ValueOr("id", NewEventId());
    ASSIGN_OR_RETURN(auto answer,
                     SendPersistently(*api, SingleRequest(topic, shape, id, std::move(data))));
    ASSIGN_OR_RETURN(auto results, json::ParseObject(answer.body));
    invocation.Print(results, [&] {
      std::string text;
      const auto* list = json::GetArray(results, "results");
      for (const auto& element : list != nullptr ? *list : json::array()) {
        const auto* result = element.if_object();
        if (result == nullptr) continue;
        text += fmt::format("Published {}/{}@{} (id {})\n", Printable(topic),
                            json::GetInt(*result, "partition"), json::GetInt(*result, "offset"),
                            Printable(json::GetString(*result, "id")));
      }
      return text;
    });
    return {};
  }

  static Status Lines(Invocation& invocation, const std::string& topic, const EventTemplate& shape,
                      size_t batch) {
    auto file = invocation.arguments.ValueOr("file", "-");
    if (invocation.arguments.Has("data")) {
      return UsageError("--batch reads lines: give --file, or pipe them in");
    }
    std::ifstream opened;
    if (file != "-") {
      opened.open(file);
      if (!opened) return Error{Code::kNotFound, "cannot read " + file};
    }
    std::istream& lines = file == "-" ? std::cin : opened;
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    EventBatch events(*api, topic, batch, shape);
    Progress progress(invocation.err, invocation.environment.terminal);
    ReadShare share(file);
    std::string line;
    Status status;
    while (status.ok() && std::getline(lines, line)) {
      share.Add(line.size() + 1);
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      status = events.Add(MakeEvent(shape, std::move(line)));
      progress.Show(share.value(), events.published());
    }
    return Finish(invocation, topic, events, status, progress);
  }

  static Status Repeat(Invocation& invocation, const std::string& topic, const EventTemplate& shape,
                       int64_t count, int64_t batch) {
    ASSIGN_OR_RETURN(std::string data, Payload(invocation));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    EventBatch events(*api, topic, static_cast<size_t>(batch), shape);
    Progress progress(invocation.err, invocation.environment.terminal);
    Status status;
    json::object event = MakeEvent(shape, std::move(data));
    for (int64_t i = 0; i < count && status.ok(); ++i) {
      event["id"] = NewEventId();
      status = events.Add(event);
      progress.Show(static_cast<double>(i) / static_cast<double>(count), events.published());
    }
    return Finish(invocation, topic, events, status, progress);
  }

  static Status Finish(Invocation& invocation, const std::string& topic, EventBatch& events,
                       Status status, const Progress& progress) {
    if (status.ok()) status = events.Flush();
    double seconds = progress.Seconds();
    json::object summary = {
        {"topic", topic}, {"published", events.published()}, {"seconds", seconds}};
    invocation.Print(summary, [&] {
      return fmt::format("Published {} events to {} in {:.1f} s ({:.0f}/s)\n", events.published(),
                         Printable(topic), seconds,
                         static_cast<double>(events.published()) / std::max(seconds, 1e-3));
    });
    return status;
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakePublish() { return std::make_unique<Publish>(); }

}  // namespace dispatch::cli
