#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/src/command.h"
#include "cli/src/commands/runs.h"
#include "cli/src/kinds/kind.h"
#include "cli/src/run_text.h"

namespace dispatch::cli {

namespace {

constexpr Duration kAgain = std::chrono::seconds(1);

class Log : public Command {
 public:
  Log() {
    info_.name = "log";
    info_.usage = "run RUN | function FUNCTION | image IMAGE | driver DRIVER [-f]";
    info_.summary = "show what a run, a function, an event driver or an image's building said";
    info_.text =
        "Of a run: its standard output on standard output, its standard error and the error that\n"
        "ended it on standard error. Of a function: those of its last runs, the oldest first.\n"
        "Of an image, and of a function that is not READY: what its building said. `log RUN` and\n"
        "`log FUNCTION` are short for the first two. Of an event driver: what it printed, and "
        "what\n"
        "Dispatch says of it.\n";
    info_.flags = {
        {.name = "follow",
         .help = "of a run and an image: until it ended; of a function: new runs too; of a driver: "
                 "new lines",
         .letter = 'f'},
        {.name = "last",
         .value = "N",
         .help = "of a function: so many runs (default 10); of a driver: lines (default 200)"}};
    info_.examples = {"dispatch log hello -f", "dispatch log image python3 -f",
                      "dispatch log driver nightly --last 20",
                      "dispatch log run 0190a6e2-7b1c-7000-8000-000000000001"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(
        CheckCount(invocation.arguments, 1, 2, "run, function, image or driver, and which"));
    const auto& words = invocation.arguments.positionals();
    bool shortened = words.size() == 1;
    const std::string& name = words.back();
    std::string what = shortened ? (IsRunId(name) ? "run" : "function") : words[0];
    ASSIGN_OR_RETURN(auto last, invocation.arguments.Int("last", 1, 1'000));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    if (what == "run") return OfRun(invocation, *api, name);
    if (what == "function" || what == "fn") {
      return OfFunction(invocation, *api, name, last.value_or(10));
    }
    if (what == "image" || what == "base-image") return OfImage(invocation, *api, what, name);
    if (what == "driver" || what == "eventdriver") {
      return OfDriver(invocation, *api, name, last.value_or(200));
    }
    return UsageError(
        fmt::format("log is of a run, a function, an image or a driver, not of '{}'", what));
  }

 private:
  static void Show(Invocation& invocation, const json::object& run) {
    for (const auto& line : OutputLines(run)) invocation.out << line << "\n";
    invocation.out.flush();
    for (const auto& line : ErrorLines(run)) invocation.err << line << "\n";
    invocation.err.flush();
  }

  static Status OfRun(Invocation& invocation, Api& api, const std::string& id) {
    while (true) {
      ASSIGN_OR_RETURN(auto run, CallJson(api, "GET", "/v1/runs/" + PercentEncode(id)));
      if (!run.is_object()) return Error{Code::kInternal, "the server answered no run"};
      if (HasEnded(run.as_object()) || !invocation.arguments.Has("follow")) {
        if (!HasEnded(run.as_object())) {
          invocation.err << "the run has not ended: its log comes with its end (-f waits)\n";
        }
        Show(invocation, run.as_object());
        return {};
      }
      invocation.environment.sleep(kAgain);
    }
  }

  static Status OfFunction(Invocation& invocation, Api& api, const std::string& name,
                           int64_t last) {
    ASSIGN_OR_RETURN(auto function, CallJson(api, "GET", "/v1/function/" + PercentEncode(name)));
    if (function.is_object()) {
      ShowStatus(invocation, function.as_object());
      for (const auto& line : LinesOf(function.as_object(), "reason")) {
        invocation.out << line << "\n";
      }
    }
    ApiRequest request{.path = "/v1/runs", .query = {{"functionName", name}}};
    request.query.emplace_back("limit", std::to_string(last));
    ASSIGN_OR_RETURN(ApiAnswer answer, api.Send(request));
    ASSIGN_OR_RETURN(auto runs, json::Parse(answer.body));
    if (!runs.is_array()) return Error{Code::kInternal, "the server answered no list of runs"};
    auto show = [&](const json::object& run) {
      if (!HasEnded(run)) return true;
      invocation.out << "==> " << RunLine(run);
      Show(invocation, run);
      return true;
    };
    for (auto run = runs.as_array().rbegin(); run != runs.as_array().rend(); ++run) {
      if (run->is_object()) show(run->as_object());
    }
    if (!invocation.arguments.Has("follow")) return {};
    request.query.pop_back();
    // The stream tells how runs stand; what they printed is asked for.
    Status failed;
    Status followed =
        FollowRuns(invocation, api, std::move(request), [&](const json::object& summary) {
          if (!HasEnded(summary)) return true;
          std::string id = json::GetString(summary, "name");
          auto run = CallJson(api, "GET", "/v1/runs/" + PercentEncode(id));
          if (!run.ok()) failed = run.error();
          return run.ok() && run->is_object() && show(run->as_object());
        });
    return failed.ok() ? followed : failed;
  }

  // While it is built the end of what its tool said is asked for again and again.
  static Status OfImage(Invocation& invocation, Api& api, const std::string& what,
                        const std::string& name) {
    const std::string path =
        (what == "image" ? "/v1/image/" : "/v1/baseimage/") + PercentEncode(name);
    std::vector<std::string> shown;
    while (true) {
      ASSIGN_OR_RETURN(auto image, CallJson(api, "GET", path));
      if (!image.is_object()) return Error{Code::kInternal, "the server answered no image"};
      auto lines = LinesOf(image.as_object(), "log");
      for (size_t i = Overlap(shown, lines); i < lines.size(); ++i) {
        invocation.out << lines[i] << "\n";
      }
      invocation.out.flush();
      shown = std::move(lines);
      std::string status = json::GetString(image.as_object(), "status");
      bool ended = status == "READY" || status == "ERROR";
      if (ended || !invocation.arguments.Has("follow")) {
        ShowStatus(invocation, image.as_object());
        // A tool's words are the reason of its failure, too.
        for (const auto& line : LinesOf(image.as_object(), "reason")) {
          bool told = std::find(shown.begin(), shown.end(), line) != shown.end();
          if (!told) invocation.out << line << "\n";
        }
        return {};
      }
      invocation.environment.sleep(kAgain);
    }
  }

  // How many lines at the begin of `now` are the last ones of `before`.
  static size_t Overlap(const std::vector<std::string>& before,
                        const std::vector<std::string>& now) {
    size_t most = std::min(before.size(), now.size());
    while (most > 0 && !std::equal(now.begin(), now.begin() + static_cast<ptrdiff_t>(most),
                                   before.end() - static_cast<ptrdiff_t>(most))) {
      --most;
    }
    return most;
  }

  // Lines have no ids: those of the last moment that were shown are left out when they come again.
  static Status OfDriver(Invocation& invocation, Api& api, const std::string& name, int64_t last) {
    ApiRequest request{.path = fmt::format("/v1/event/drivers/{}/logs", PercentEncode(name)),
                       .query = {{"limit", std::to_string(last)}}};
    std::string since;
    std::vector<std::string> shown;  // at `since`
    while (true) {
      ASSIGN_OR_RETURN(ApiAnswer answer, api.Send(request));
      ASSIGN_OR_RETURN(auto lines, json::Parse(answer.body));
      if (!lines.is_array()) return Error{Code::kInternal, "the server answered no list of lines"};
      std::vector<std::string> before = shown;
      for (const auto& item : lines.get_array()) {
        if (const auto* line = item.if_object()) ShowLine(invocation, *line, before, since, shown);
      }
      invocation.out.flush();
      invocation.err.flush();
      if (!invocation.arguments.Has("follow")) return {};
      invocation.environment.sleep(kAgain);
      request.query = {{"limit", "1000"}};
      if (!since.empty()) request.query.emplace_back("since", since);
    }
  }

  static void ShowLine(Invocation& invocation, const json::object& line,
                       std::vector<std::string>& before, std::string& since,
                       std::vector<std::string>& shown) {
    std::string time = json::GetString(line, "time");
    std::string stream = json::GetString(line, "stream");
    std::string text = fmt::format("{} {}", time, Printable(json::GetString(line, "line")));
    auto again = std::find(before.begin(), before.end(), stream + text);
    if (again != before.end()) {
      before.erase(again);
      return;
    }
    (stream == "stdout" ? invocation.out : invocation.err) << text << "\n";
    if (time != since) shown.clear();
    since = time;
    shown.push_back(stream + text);
  }

  static void ShowStatus(Invocation& invocation, const json::object& object) {
    std::string status = json::GetString(object, "status");
    if (status == "READY" && json::GetString(object, "kind") == "Function") return;
    invocation.err << fmt::format("{} is {}\n", Printable(json::GetString(object, "name")),
                                  Printable(status));
  }

  static std::vector<std::string> LinesOf(const json::object& object, std::string_view field) {
    std::vector<std::string> lines;
    const auto* texts = json::GetArray(object, field);
    for (const auto& text : texts != nullptr ? *texts : json::array()) {
      std::string all = CellText(text);
      for (size_t at = 0; at <= all.size();) {
        size_t end = std::min(all.find('\n', at), all.size());
        lines.push_back(Printable(all.substr(at, end - at)));
        at = end + 1;
      }
    }
    return lines;
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeLog() { return std::make_unique<Log>(); }

}  // namespace dispatch::cli
