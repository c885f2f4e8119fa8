#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ostream>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

namespace fs = std::filesystem;

// The script of a source tree: of $DISPATCH_SOURCE, of the one this program was built in, or of the
// one that we are in.
Result<fs::path> FindScript(const Environment& environment, const std::string& name) {
  fs::path relative = fs::path("deploy") / "local" / name;
  if (auto source = environment.Get("DISPATCH_SOURCE")) {
    std::error_code ignored;
    if (fs::exists(*source / relative, ignored)) return *source / relative;
    return Error{Code::kNotFound,
                 fmt::format("{} has no {}: set DISPATCH_SOURCE to the directory of Dispatch's "
                             "source",
                             *source, relative.string())};
  }
  for (const fs::path& start : {environment.executable.parent_path(), environment.directory}) {
    if (auto found = Environment::FindUpwards(start, relative)) return *found;
  }
  return Error{
      Code::kNotFound,
      fmt::format("{} is not found: `dispatch {}` runs the local stack of Dispatch's source "
                  "tree. Change into it, or set DISPATCH_SOURCE to it",
                  relative.string(), name)};
}

// up, down and status are scripts of the source tree: their words go there as they are.
class Stack : public Command {
 public:
  Stack(std::string verb, std::string summary, std::vector<std::string> examples) {
    info_.name = std::move(verb);
    info_.usage = "[FLAGS]";
    info_.summary = std::move(summary);
    info_.text = fmt::format(
        "Runs deploy/local/{} of the source tree; `dispatch {} --help` lists "
        "its flags.\n",
        info_.name, info_.name);
    info_.examples = std::move(examples);
    info_.raw = true;
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    ASSIGN_OR_RETURN(fs::path script, FindScript(invocation.environment, info_.name));
    std::vector<std::string> words = {script.string()};
    const auto& given = invocation.arguments.positionals();
    words.insert(words.end(), given.begin(), given.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    invocation.out.flush();
    execv(argv[0], argv.data());
    return {Code::kInternal, fmt::format("cannot run {}: {}", script.string(), strerror(errno))};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeUp() {
  return std::make_unique<Stack>(
      "up", "start a local Dispatch: Kafka, PostgreSQL, the services",
      std::vector<std::string>{"dispatch up", "dispatch up --ports auto"});
}
CommandPtr MakeDown() {
  return std::make_unique<Stack>(
      "down", "stop the local Dispatch",
      std::vector<std::string>{"dispatch down", "dispatch down --purge"});
}
CommandPtr MakeStatus() {
  return std::make_unique<Stack>("status", "what of the local Dispatch runs",
                                 std::vector<std::string>{"dispatch status"});
}

}  // namespace dispatch::cli
