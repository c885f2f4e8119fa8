#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"
#include "cli/src/run_text.h"
#include "common/crypto.h"

namespace dispatch::cli {

namespace {

// A blocking run ends after five minutes, and the server has its answer a little later.
constexpr std::chrono::milliseconds kBlocking = std::chrono::seconds(330);

/// "JSON", "@FILE" or "-".
Result<std::string> TextOf(const Environment& environment, const std::string& given) {
  if (given == "-") return environment.piped().value_or("");
  if (given.starts_with('@')) return ReadFile(given.substr(1));
  return given;
}

class Exec : public Command {
 public:
  Exec() {
    info_.name = "exec";
    info_.usage = "FUNCTION [--wait] [--input JSON|@FILE|-] [FLAGS]";
    info_.summary = "run a function";
    info_.text =
        "Without --wait the run is taken, and runs on its own: `dispatch get run` and `dispatch\n"
        "log` tell of it. With --wait the ended run is printed; its output is in the field\n"
        "`output`, and status ERROR says that it failed. Without --input, what a pipe or a file\n"
        "brings on standard input is the input (give `--input null` where there is one that is\n"
        "not meant).\n"
        "With --content-type or --accept the input may be of any type, and what the function\n"
        "answered and printed is written as the server sends it, as the Knative line of VMware's\n"
        "command did.\n";
    info_.flags = {{.name = "wait", .help = "until it ended, and print what came of it"},
                   {.name = "input", .value = "JSON|@FILE|-", .help = "what the function is given"},
                   {.name = "secret",
                    .value = "SECRET",
                    .help = "a secret that this run is given too",
                    .repeatable = true},
                   {.name = "fail", .help = "with --wait: exit code 1 when the run failed"},
                   {.name = "content-type",
                    .value = "TYPE",
                    .help = "of the input: text, a form and others too; waits",
                    .letter = 'c'},
                   {.name = "accept", .value = "TYPE", .help = "told to the function; waits"},
                   ApplicationFlag(),
                   TagFlag(),
                   {.name = "all", .help = "taken for VMware's scripts, changes nothing"}};
    info_.examples = {R"(dispatch exec hello --wait --input '{"name": "Jon"}')",
                      R"(echo '{"name": "Jon"}' | dispatch exec hello --wait)",
                      "dispatch exec resize --input @job.json --secret store",
                      "dispatch exec count -c text/plain < words.txt"};
  }

  const CommandInfo& info() const override { return info_; }
  // In the Knative line -a is --accept: no application's name is a media type.
  std::vector<Flag> FlagsFor(const std::vector<std::string>& words) const override {
    std::vector<Flag> flags = info_.flags;
    bool accepts = false;
    for (size_t i = 0; i < words.size(); ++i) {
      bool own = words[i].starts_with("-a") && words[i].find('/') != std::string::npos;
      bool next =
          words[i] == "-a" && i + 1 < words.size() && words[i + 1].find('/') != std::string::npos;
      accepts = accepts || own || next;
    }
    if (!accepts) return flags;
    for (Flag& flag : flags) {
      if (flag.name == "application") flag.letter = 0;
      if (flag.name == "accept") flag.letter = 'a';
    }
    return flags;
  }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a function"));
    bool bytes = arguments.Has("content-type") || arguments.Has("accept");
    bool wait = bytes || arguments.Has("wait");
    if (arguments.Has("fail") && !wait) return UsageError("--fail is for --wait");
    ASSIGN_OR_RETURN(json::object body, bytes ? BytesBody(invocation) : JsonBody(invocation));
    if (wait) body["blocking"] = true;
    json::array secrets;
    for (const std::string& secret : arguments.All("secret")) secrets.emplace_back(secret);
    if (!secrets.empty()) body["secrets"] = std::move(secrets);
    RETURN_IF_ERROR(FillTags(arguments, body));

    ApiRequest request{.method = "POST",
                       .path = "/v1/runs",
                       .query = {{"functionName", arguments.positionals()[0]}},
                       .body = json::Serialize(json::value(std::move(body))),
                       .timeout = kBlocking};
    request.headers.Set("Content-Type", "application/json");
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(ApiAnswer answer, api->Send(request));
    auto run = json::ParseObject(answer.body);
    if (!run.ok()) return Error{Code::kInternal, "the server answered no run: " + run.message()};
    RETURN_IF_ERROR(bytes ? PrintBytes(invocation, *run) : Print(invocation, *run));
    bool failed = json::GetString(*run, "status") == "ERROR";
    if (!failed || !arguments.Has("fail")) return {};
    const auto* error = json::GetObject(*run, "error");
    return {Code::kInternal,
            fmt::format("{} failed: {}", arguments.positionals()[0],
                        error != nullptr ? Printable(json::GetString(*error, "message")) : "")};
  }

 private:
  // Function objects of VMware's command are always JSON; a table only when it is asked for.
  static Status Print(const Invocation& invocation, const json::object& run) {
    bool table = invocation.format == Format::kTable && invocation.arguments.Has("output");
    if (table) {
      invocation.out << MakeTable(RunColumns(), {run}).Render();
    } else {
      invocation.out << Serialized(
          run, invocation.format == Format::kYaml ? Format::kYaml : Format::kJson);
    }
    return {};
  }

  static Status PrintBytes(const Invocation& invocation, const json::object& run) {
    if (invocation.arguments.Has("output")) return Print(invocation, run);
    ASSIGN_OR_RETURN(std::string bytes, crypto::Base64Decode(json::GetString(run, "outputBytes")));
    invocation.out << bytes;
    if (invocation.environment.terminal && !bytes.ends_with('\n')) invocation.out << "\n";
    return {};
  }

  static Result<json::object> JsonBody(const Invocation& invocation) {
    json::object body;
    auto given = invocation.arguments.Value("input");
    std::optional<std::string> text;
    if (given) {
      ASSIGN_OR_RETURN(text, TextOf(invocation.environment, *given));
    } else {
      text = invocation.environment.piped();
    }
    if (!text || text->find_first_not_of(" \t\r\n") == std::string::npos) return body;
    auto input = json::Parse(*text);
    if (!input.ok()) {
      std::string from = given ? "--input" : "standard input";
      return UsageError(fmt::format(
          "{} is no JSON: {}; give other input with --content-type, as in -c text/plain", from,
          input.message()));
    }
    body["input"] = std::move(*input);
    return body;
  }

  static Result<json::object> BytesBody(const Invocation& invocation) {
    const Arguments& arguments = invocation.arguments;
    auto given = arguments.Value("input");
    std::string text;
    if (given) {
      ASSIGN_OR_RETURN(text, TextOf(invocation.environment, *given));
    } else {
      text = invocation.environment.piped().value_or("");
    }
    std::string type = arguments.ValueOr("content-type", "application/json");
    return json::object{
        {"inputBytes", crypto::Base64Encode(text)},
        {"httpContext",
         {{"Content-Type", type}, {"Accept", arguments.ValueOr("accept", "application/json")}}}};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeExec() { return std::make_unique<Exec>(); }

}  // namespace dispatch::cli
