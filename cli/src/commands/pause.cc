#include <fmt/format.h>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

// pause and resume differ by a word.
class SetPaused : public Command {
 public:
  SetPaused(std::string verb, std::string done, std::string summary, std::string text)
      : done_(std::move(done)) {
    info_.name = std::move(verb);
    info_.usage = "SUBSCRIPTION";
    info_.summary = std::move(summary);
    info_.text = std::move(text);
    info_.examples = {fmt::format("dispatch {} orders-demo", info_.name)};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 1, "a subscription"));
    const std::string& name = invocation.arguments.positionals()[0];
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(auto subscription, CallJson(*api, "POST",
                                                 fmt::format("/v1/subscriptions/{}/{}",
                                                             PercentEncode(name), info_.name)));
    invocation.Print(subscription,
                     [&] { return fmt::format("{} subscription: {}\n", done_, Printable(name)); });
    return {};
  }

 private:
  CommandInfo info_;
  std::string done_;
};

}  // namespace

CommandPtr MakePause() {
  return std::make_unique<SetPaused>(
      "pause", "Paused", "stop delivering to a subscription",
      "Nothing is lost and nothing is copied: its place in the topic is kept.\n");
}

CommandPtr MakeResume() {
  return std::make_unique<SetPaused>("resume", "Resumed", "go on delivering where it stopped", "");
}

}  // namespace dispatch::cli
