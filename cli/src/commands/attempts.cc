#include "cli/src/commands/attempts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

constexpr size_t kAnswerShown = 120;
constexpr int64_t kPage = 1000;  // the server's most
constexpr int64_t kMost = 1'000'000;
constexpr const char* kOutcomes[] = {"delivered", "retry", "dead-lettered"};

std::string Latency(const json::object& attempt) {
  return fmt::format("{:.1f} ms", json::GetDouble(attempt, "latencyMs"));
}

std::string StatusOf(const json::object& attempt) {
  int64_t status = json::GetInt(attempt, "status");
  return status > 0 ? std::to_string(status) : "";
}

std::string AnswerOf(const json::object& attempt) {
  return Cut(json::GetString(attempt, "answer"), kAnswerShown);
}

std::string Position(const json::object& attempt) {
  return fmt::format("{}@{}", json::GetInt(attempt, "partition"), json::GetInt(attempt, "offset"));
}

// What the list has beside what `trace` shows: which event it was, and for which replay.
const std::vector<Column>& ListColumns() {
  static const std::vector<Column> columns = [] {
    std::vector<Column> all = {{"POSITION", Position}};
    all.insert(all.end(), AttemptColumns().begin(), AttemptColumns().end());
    all.push_back(FieldColumn("REPLAY", "replay"));
    return all;
  }();
  return columns;
}

// The target of `Link: <target>; rel="next"`, a path with its query; empty on the last page.
std::string NextPage(const http::Headers& headers) {
  std::string link(headers.Get("Link").value_or(""));
  size_t end = link.find('>');
  if (!link.starts_with("</") || end == std::string::npos) return "";
  return link.find("rel=\"next\"", end) == std::string::npos ? "" : link.substr(1, end - 1);
}

class Attempts : public Command {
 public:
  Attempts() {
    info_.name = "attempts";
    info_.usage = "SUBSCRIPTION";
    info_.summary = "what a subscription's endpoint was sent and answered, newest first";
    info_.text =
        "POSITION is PARTITION@OFFSET in the subscription's topic: `dispatch trace "
        "TOPIC/POSITION`\n"
        "shows all that became of that event. Attempts of replays are among them, with the "
        "replay.\n"
        "Which are kept, and for how long, is the subscription's `history`.\n";
    info_.flags = {
        {.name = "outcome",
         .value = "delivered|retry|dead-lettered",
         .help = "only those that ended so"},
        {.name = "since", .value = "TIME", .help = "made then or later"},
        {.name = "limit", .value = "N", .help = "at most so many (default 100)"},
    };
    info_.examples = {"dispatch attempts orders-demo --outcome retry --limit 20",
                      "dispatch attempts orders-demo --since 2026-11-21T08:00:00Z -o json"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a subscription"));
    ASSIGN_OR_RETURN(auto given, arguments.Int("limit", 1, kMost));
    auto limit = static_cast<size_t>(given.value_or(100));
    std::string path =
        fmt::format("/v1/subscriptions/{}/deliveries?limit={}",
                    PercentEncode(arguments.positionals()[0]), std::min<size_t>(limit, kPage));
    if (auto outcome = arguments.Value("outcome")) {
      if (std::find(std::begin(kOutcomes), std::end(kOutcomes), *outcome) == std::end(kOutcomes)) {
        return UsageError("--outcome is delivered, retry or dead-lettered");
      }
      path += "&status=" + *outcome;
    }
    if (auto since = arguments.Value("since")) path += "&since=" + PercentEncode(*since);
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    json::array all;
    for (std::string next = path; !next.empty() && all.size() < limit;) {
      ASSIGN_OR_RETURN(auto answer, api->Send({.path = next}));
      ASSIGN_OR_RETURN(auto page, json::Parse(answer.body));
      if (!page.is_array()) return Error{Code::kInternal, path + " is no list"};
      for (auto& attempt : page.as_array()) {
        if (all.size() < limit) all.push_back(std::move(attempt));
      }
      next = NextPage(answer.headers);
    }
    invocation.Print(all, [&] { return MakeTable(ListColumns(), all).Render(); });
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

const std::vector<Column>& AttemptColumns() {
  static const std::vector<Column> columns = {FieldColumn("ATTEMPT", "attempt"),
                                              TimeColumn("TIME", "time"),
                                              {"STATUS", StatusOf},
                                              {"LATENCY", Latency},
                                              FieldColumn("OUTCOME", "outcome"),
                                              FieldColumn("MESSAGE", "message"),
                                              {"ANSWER", AnswerOf}};
  return columns;
}

CommandPtr MakeAttempts() { return std::make_unique<Attempts>(); }

}  // namespace dispatch::cli
