#include "cli/src/commands/runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "cli/src/follow.h"
#include "cli/src/run_text.h"
#include "cli/src/yaml.h"
#include "common/config.h"

namespace dispatch::cli {

namespace {

constexpr char kRuns[] = "/v1/runs";
constexpr size_t kRemembered = 100'000;

// "10m" is that long ago; times and unix seconds are the server's to read.
std::string SinceOf(const Invocation& invocation, const std::string& given) {
  auto ago = ParseDuration(given);
  bool number = given.find_first_not_of("-0123456789") == std::string::npos;
  if (!ago.ok() || number) return given;
  return std::to_string(ToMillis(invocation.environment.now - *ago) / 1000);
}

ApiRequest RequestFor(const Invocation& invocation, const std::string& function) {
  const Arguments& arguments = invocation.arguments;
  ApiRequest request{.path = kRuns};
  if (!function.empty()) request.query.emplace_back("functionName", function);
  if (auto since = arguments.Value("since")) {
    request.query.emplace_back("since", SinceOf(invocation, *since));
  }
  if (auto status = arguments.Value("status")) request.query.emplace_back("status", *status);
  for (const std::string& tag : arguments.All("tag")) request.query.emplace_back("tags", tag);
  if (auto application = arguments.Value("application")) {
    request.query.emplace_back("tags", "Application=" + *application);
  }
  return request;
}

void Show(Invocation& invocation, const json::object& run) {
  switch (invocation.format) {
    case Format::kTable:
      invocation.out << RunLine(run);
      break;
    case Format::kJson:
      invocation.out << json::Serialize(json::value(run)) << "\n";
      break;
    case Format::kYaml:
      invocation.out << "---\n" << ToYaml(run);
      break;
  }
}

Status One(Invocation& invocation, Api& api, const std::string& function, const std::string& id) {
  std::string path = fmt::format("{}/{}", kRuns, PercentEncode(id));
  if (!function.empty()) path += "?functionName=" + PercentEncode(function);
  ASSIGN_OR_RETURN(auto run, CallJson(api, "GET", path));
  if (!run.is_object()) return Error{Code::kInternal, path + " is no run"};
  invocation.Print(run, [&] { return MakeTable(RunColumns(), {run}).Render(); });
  return {};
}

// By a column; times the newest first.
Status SortBy(const std::string& by, json::array& runs) {
  std::string field = by == "function"   ? "functionName"
                      : by == "status"   ? "status"
                      : by == "started"  ? "executedTime"
                      : by == "finished" ? "finishedTime"
                                         : "";
  if (field.empty()) {
    return UsageError(fmt::format("--by is function, status, started or finished, not '{}'", by));
  }
  bool newest = by == "started" || by == "finished";
  // Ids grow with time: the order of those that are alike.
  std::sort(runs.begin(), runs.end(), [&](const json::value& a, const json::value& b) {
    if (!a.is_object() || !b.is_object()) return a.is_object() && !b.is_object();
    const auto& x = a.as_object();
    const auto& y = b.as_object();
    if (newest && json::GetInt(x, field) != json::GetInt(y, field)) {
      return json::GetInt(x, field) > json::GetInt(y, field);
    }
    if (!newest && json::GetString(x, field) != json::GetString(y, field)) {
      return json::GetString(x, field) < json::GetString(y, field);
    }
    return json::GetString(x, "name") > json::GetString(y, "name");
  });
  return {};
}

Status List(Invocation& invocation, Api& api, const std::string& function) {
  const Arguments& arguments = invocation.arguments;
  std::string by = arguments.ValueOr("by", "started");
  json::array none;
  RETURN_IF_ERROR(SortBy(by, none));
  ApiRequest request = RequestFor(invocation, function);
  bool last = arguments.Has("last");
  ASSIGN_OR_RETURN(auto limit, arguments.Int("limit", 1, 1'000));
  if (last) limit = 1;
  if (limit) request.query.emplace_back("limit", std::to_string(*limit));
  ASSIGN_OR_RETURN(ApiAnswer answer, api.Send(request));
  ASSIGN_OR_RETURN(auto list, json::Parse(answer.body));
  if (!list.is_array()) return Error{Code::kInternal, std::string(kRuns) + " is no list"};
  json::array& runs = list.as_array();
  RETURN_IF_ERROR(SortBy(by, runs));
  bool one = last && runs.size() == 1;
  invocation.Print(one ? runs[0] : list, [&] { return MakeTable(RunColumns(), runs).Render(); });
  return {};
}

}  // namespace

bool IsRuns(std::string_view word) { return word == "run" || word == "runs"; }

std::vector<Flag> RunsFlags() {
  return {{.name = "follow", .help = "runs: show new and ended ones as they come", .letter = 'f'},
          {.name = "last", .help = "runs: only the newest"},
          {.name = "since", .value = "WHEN", .help = "runs: of the last 10m, or since a time"},
          {.name = "status",
           .value = "INITIALIZED|CREATING|READY|ERROR",
           .help = "runs: only those that stand so"},
          {.name = "by",
           .value = "started|finished|status|function",
           .help = "runs: their order (default started)"},
          {.name = "limit", .value = "N", .help = "runs: at most so many (default 1000)"}};
}

Status GetRuns(Invocation& invocation) {
  const auto& words = invocation.arguments.positionals();
  RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 3, "[FUNCTION [RUN]]"));
  std::string function = words.size() > 1 ? words[1] : "";
  std::string id = words.size() > 2 ? words[2] : "";
  if (words.size() == 2 && IsRunId(function)) std::swap(function, id);
  ASSIGN_OR_RETURN(Api * api, invocation.api());
  if (!id.empty()) return One(invocation, *api, function, id);
  if (!invocation.arguments.Has("follow")) return List(invocation, *api, function);
  return FollowRuns(invocation, *api, RequestFor(invocation, function),
                    [&](const json::object& run) {
                      Show(invocation, run);
                      return true;
                    });
}

Status FollowRuns(Invocation& invocation, Api& api, ApiRequest request,
                  const std::function<bool(const json::object& run)>& take) {
  request.query.emplace_back("follow", "true");
  // After a broken connection what came last may come again.
  std::set<std::pair<std::string, std::string>> shown;
  return Follow(
      invocation, api,
      {.request = [request] { return request; },
       .take =
           [&](const ServerSentEvent& event, const json::object& item) {
             if (event.type == "lost") {
               Note(invocation, json::GetString(item, "reason"));
               return true;
             }
             if (event.type != "message") return true;
             if (shown.size() > kRemembered) shown.clear();
             bool is_new =
                 shown.emplace(json::GetString(item, "name"), json::GetString(item, "status"))
                     .second;
             return !is_new || take(item);
           }});
}

}  // namespace dispatch::cli
