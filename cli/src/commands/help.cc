#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

class Help : public Command {
 public:
  Help() {
    info_.name = "help";
    info_.usage = "[VERB [KIND]]";
    info_.summary = "this text, or more about a verb";
    info_.examples = {"dispatch help publish", "dispatch help create subscription"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    if (words.empty()) {
      invocation.out << HelpText();
      return {};
    }
    const Command* command = FindCommand(words[0]);
    if (command == nullptr) return UsageError(fmt::format("there is no verb '{}'", words[0]));
    std::string own = words.size() > 1 ? command->HelpFor(words[1]) : "";
    invocation.out << (own.empty() ? HelpText(*command) : own);
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeHelp() { return std::make_unique<Help>(); }

}  // namespace dispatch::cli
