#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/run_text.h"

namespace dispatch::cli {

namespace {

// cancel and rerun: one request for each run.
class RunVerb : public Command {
 public:
  RunVerb(std::string verb, std::string did, std::string summary, std::string text)
      : did_(std::move(did)) {
    info_.name = std::move(verb);
    info_.usage = "RUN...";
    info_.summary = std::move(summary);
    info_.text = std::move(text);
    info_.examples = {fmt::format("dispatch {} 0190a6e2-7b1c-7000-8000-000000000001", info_.name)};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, SIZE_MAX, "the ID of a run"));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    for (const std::string& id : invocation.arguments.positionals()) {
      std::string path = fmt::format("/v1/runs/{}/{}", PercentEncode(id), info_.name);
      ASSIGN_OR_RETURN(auto run, CallJson(*api, "POST", path, json::object()));
      std::string name = run.is_object() ? json::GetString(run.as_object(), "name") : "";
      invocation.Print(run, [&] { return fmt::format("{}: {}\n", did_, Printable(name)); });
    }
    return {};
  }

 private:
  std::string did_;
  CommandInfo info_;
};

class Rollback : public Command {
 public:
  Rollback() {
    info_.name = "rollback";
    info_.usage = "FUNCTION [VERSION]";
    info_.summary = "make a former version of a function the one that serves";
    info_.text =
        "Without VERSION the one before. The versions are in `dispatch get function NAME -o "
        "yaml`;\n"
        "what serves now goes on until the other is READY.\n";
    info_.examples = {"dispatch rollback hello", "dispatch rollback hello 3"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 2, "a function and a version"));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    std::string path = "/v1/function/" + PercentEncode(words[0]);
    int64_t version = 0;
    if (words.size() == 2) {
      auto number = json::Parse(words[1]);
      if (!number.ok() || !number->is_int64()) {
        return UsageError(fmt::format("'{}' is no number of a version", words[1]));
      }
      version = number->as_int64();
    } else {
      ASSIGN_OR_RETURN(version, Before(*api, path, words[0]));
    }
    ASSIGN_OR_RETURN(auto function, CallJson(*api, "POST", path + "/rollback",
                                             json::object{{"version", version}}));
    invocation.Print(function, [&] {
      return fmt::format("Rolling back function: {} (to version {})\n", Printable(words[0]),
                         version);
    });
    return {};
  }

 private:
  static Result<int64_t> Before(Api& api, const std::string& path, const std::string& name) {
    ASSIGN_OR_RETURN(auto function, CallJson(api, "GET", path));
    const auto* object = function.if_object();
    const auto* versions = object != nullptr ? json::GetArray(*object, "versions") : nullptr;
    // The newest is the first.
    if (versions == nullptr || versions->size() < 2 || !(*versions)[1].is_object()) {
      return Error{Code::kNotFound, fmt::format("{} has no version before this one", name)};
    }
    return json::GetInt((*versions)[1].as_object(), "version");
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeCancel() {
  return std::make_unique<RunVerb>(
      "cancel", "Cancelled run", "end a run that nobody waits for",
      "A function that has begun goes on, but what it answers is dropped.\n");
}
CommandPtr MakeRerun() {
  return std::make_unique<RunVerb>("rerun", "Started run",
                                   "run a function once more on the input of a run",
                                   "The new run has an ID of its own.\n");
}
CommandPtr MakeRollback() { return std::make_unique<Rollback>(); }

}  // namespace dispatch::cli
