#include "cli/src/completion.h"

#include <fmt/format.h>

#include <ostream>

namespace dispatch::cli {

namespace {

class ShellCompletion : public Command {
 public:
  ShellCompletion() {
    info_.name = "completion";
    info_.usage = "bash|zsh|fish";
    info_.summary = "a script that lets the shell complete verbs, flags and names";
    info_.text = "Names of objects are asked of the Dispatch that the commands talk to.\n";
    info_.examples = {"source <(dispatch completion bash)", "source <(dispatch completion zsh)",
                      "dispatch completion fish | source"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 1, "bash, zsh or fish"));
    ASSIGN_OR_RETURN(std::string script, CompletionScript(invocation.arguments.positionals()[0]));
    invocation.out << script;
    return {};
  }

 private:
  CommandInfo info_;
};

// What the scripts ask: `dispatch __complete WORD...`, the last one unfinished. Lines of a
// candidate, a tab and what it is; ":files" for names of files too.
class CompleteWords : public Command {
 public:
  CompleteWords() {
    info_.name = "__complete";
    info_.raw = true;
    info_.hidden = true;
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    Completion found = Complete(invocation.arguments.positionals(), invocation);
    for (const auto& [word, what] : found.candidates) {
      invocation.out << word << "\t" << what << "\n";
    }
    if (found.files) invocation.out << ":files\n";
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeCompletion() { return std::make_unique<ShellCompletion>(); }
CommandPtr MakeComplete() { return std::make_unique<CompleteWords>(); }

}  // namespace dispatch::cli
