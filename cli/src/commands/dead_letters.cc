#include <fmt/format.h>

#include <chrono>
#include <ostream>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"

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
                                              FieldColumn("MESSAGE", "message"),
                                              FieldColumn("REPLAY", "replay")};
  return columns;
}

// Flags that choose letters, and what the API calls them.
constexpr std::pair<const char*, const char*> kFilters[] = {
    {"reason", "reason"}, {"type", "type"},   {"status", "status"},
    {"since", "since"},   {"until", "until"}, {"id", "id"},
};

class DeadLetters : public Command {
 public:
  DeadLetters() {
    info_.name = "dead-letters";
    info_.usage = "[list|get|purge|redrive|redrives] SUBSCRIPTION [ID]";
    info_.summary = "events that could not be delivered, oldest first";
    info_.text =
        "list (without a word, too)  those that fit the flags, of its replays too\n"
        "get SUBSCRIPTION ID         one of them whole, with the event\n"
        "purge                       removes those that fit for good; --all for all of them\n"
        "redrive                     makes those that fit pending again; --all for all of them\n"
        "                            (of a replay: replay that stretch again)\n"
        "redrive --cancel ID         ends a redrive; what it has not moved stays a dead letter\n"
        "redrives                    the redrives, newest first\n";
    info_.flags = {
        {.name = "limit", .value = "N", .help = "list at most so many (default 100)"},
        {.name = "reason", .value = "WORD", .help = "rejected, attempts-exhausted, gone, parked"},
        {.name = "type", .value = "TYPE", .help = "of the event"},
        {.name = "status", .value = "N", .help = "of the last answer; 0 for none"},
        {.name = "since", .value = "TIME", .help = "dead-lettered then or later"},
        {.name = "until", .value = "TIME", .help = "dead-lettered before"},
        {.name = "id", .value = "ID", .help = "the one with this id (not to list)"},
        {.name = "all", .help = "purge or redrive without a filter"},
        {.name = "rate", .value = "N/TIME", .help = "redrive no faster than, as in 100/s"},
        {.name = "wait", .help = "until the redrive has moved all, showing how far it is"},
        {.name = "cancel", .value = "ID", .help = "of the redrive to end"},
    };
    info_.examples = {"dispatch dead-letters orders-demo --reason rejected --limit 10",
                      "dispatch dead-letters get orders-demo 0-17",
                      "dispatch dead-letters purge orders-demo --status 404",
                      "dispatch dead-letters redrive orders-demo --all --rate 100/s --wait"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 3, "a subscription"));
    auto words = invocation.arguments.positionals();
    std::string verb;
    for (const char* known : {"list", "get", "purge", "redrive", "redrives"}) {
      if (words.size() > 1 && words[0] == known) verb = known;
    }
    if (verb.empty()) {
      verb = words.size() == 2 ? "get" : "list";
    } else {
      words.erase(words.begin());
    }
    if (words.size() != (verb == "get" ? 2 : 1)) {
      return UsageError(verb == "get" ? "get needs a subscription and the id of a dead letter"
                                      : verb + " needs a subscription");
    }
    std::string path = fmt::format("/v1/subscriptions/{}/dead-letters", PercentEncode(words[0]));
    if (verb == "get") return Get(invocation, path + "/" + PercentEncode(words[1]));
    if (verb == "purge") return Purge(invocation, path);
    if (verb == "redrive") return Redrive(invocation, path + "/redrive");
    if (verb == "redrives") return Redrives(invocation, path + "/redrive");
    return List(invocation, path);
  }

 private:
  static std::string Query(const Arguments& arguments) {
    std::string query;
    for (const auto& [flag, field] : kFilters) {
      auto value = arguments.Value(flag);
      if (value) query += fmt::format("&{}={}", field, PercentEncode(*value));
    }
    return query;
  }

  static Status List(Invocation& invocation, const std::string& path) {
    const Arguments& arguments = invocation.arguments;
    if (arguments.Has("id")) return UsageError("--id does not list: use get");
    ASSIGN_OR_RETURN(auto limit, arguments.Int("limit", 1, 1000));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto list, CallJson(*api, "GET",
                                         fmt::format("{}?limit={}{}", path, limit.value_or(100),
                                                     Query(arguments))));
    if (!list.is_array()) return Error{Code::kInternal, path + " is no list"};
    invocation.Print(list, [&] { return MakeTable(Columns(), list.as_array()).Render(); });
    return {};
  }

  static Status Get(Invocation& invocation, const std::string& path) {
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto letter, CallJson(*api, "GET", path));
    // One letter is too much for a line.
    Format format = invocation.format == Format::kTable ? Format::kYaml : invocation.format;
    invocation.Print(letter, [&] { return Serialized(letter, format); });
    return {};
  }

  // The server removes so many with one request.
  static Status Purge(Invocation& invocation, const std::string& path) {
    std::string query = Query(invocation.arguments);
    if (query.empty() != invocation.arguments.Has("all")) {
      return UsageError("purge needs a filter such as --reason, or --all for all of them");
    }
    if (!query.empty()) query[0] = '?';
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    int64_t purged = 0;
    int64_t left = 0;
    int64_t now = 0;
    do {
      ASSIGN_OR_RETURN(auto answer, CallJson(*api, "DELETE", path + query));
      if (!answer.is_object()) return Error{Code::kInternal, path + " is no answer to a purge"};
      now = json::GetInt(answer.get_object(), "purged");
      left = json::GetInt(answer.get_object(), "left");
      purged += now;
    } while (left > 0 && now > 0);
    json::value total = json::object{{"purged", purged}, {"left", left}};
    invocation.Print(total, [&] { return fmt::format("Purged dead letters: {}\n", purged); });
    return {};
  }

  static Status Redrive(Invocation& invocation, const std::string& path) {
    const Arguments& arguments = invocation.arguments;
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    if (auto id = arguments.Value("cancel")) {
      ASSIGN_OR_RETURN(auto job, CallJson(*api, "DELETE", path + "/" + PercentEncode(*id)));
      return PrintJob(invocation, job);
    }
    json::object filter;
    for (const auto& [flag, field] : kFilters) {
      if (auto value = arguments.Value(flag)) filter[field] = *value;
    }
    if (filter.empty() != arguments.Has("all")) {
      return UsageError("redrive needs a filter such as --reason, or --all for all of them");
    }
    json::object body{{"filter", std::move(filter)}};
    if (auto rate = arguments.Value("rate")) {
      ASSIGN_OR_RETURN(body["rate"], RateOf("rate", *rate));
    }
    ASSIGN_OR_RETURN(auto job, CallJson(*api, "POST", path, body));
    std::string shown;
    while (arguments.Has("wait") && job.is_object() && State(job) == "RUNNING") {
      std::string line = Progress(job);
      if (line != shown) invocation.err << (shown = line) << '\n' << std::flush;
      invocation.environment.sleep(std::chrono::milliseconds(500));
      ASSIGN_OR_RETURN(
          job, CallJson(*api, "GET",
                        path + "/" + PercentEncode(json::GetString(job.get_object(), "id"))));
    }
    return PrintJob(invocation, job);
  }

  static Status Redrives(Invocation& invocation, const std::string& path) {
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto list, CallJson(*api, "GET", path));
    if (!list.is_array()) return Error{Code::kInternal, path + " is no list"};
    static const std::vector<Column> columns = {
        FieldColumn("ID", "id"),       TimeColumn("TIME", "createdTime"),
        FieldColumn("STATE", "state"), FieldColumn("MOVED", "moved"),
        FieldColumn("TOTAL", "total"), FieldColumn("FILTER", "filter")};
    invocation.Print(list, [&] { return MakeTable(columns, list.as_array()).Render(); });
    return {};
  }

  static std::string State(const json::value& job) {
    return json::GetString(job.get_object(), "state");
  }
  static std::string Progress(const json::value& job) {
    const json::object& fields = job.get_object();
    return fmt::format("{} of {} moved", json::GetInt(fields, "moved"),
                       json::GetInt(fields, "total"));
  }
  static Status PrintJob(Invocation& invocation, const json::value& job) {
    if (!job.is_object()) return Error{Code::kInternal, "the answer is no redrive"};
    invocation.Print(job, [&] {
      return fmt::format("Redrive {}: {}, {}\n", json::GetString(job.get_object(), "id"),
                         State(job), Progress(job));
    });
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeDeadLetters() { return std::make_unique<DeadLetters>(); }

}  // namespace dispatch::cli
