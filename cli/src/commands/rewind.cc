#include <fmt/format.h>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

class Rewind : public Command {
 public:
  Rewind() {
    info_.name = "rewind";
    info_.usage = "SUBSCRIPTION --to WHERE";
    info_.summary = "deliver again from a place in the topic, or skip to one";
    info_.text =
        "Everything from there on is delivered, also what was delivered before, as new "
        "deliveries.\n"
        "What waits to be tried again is cancelled; what is on its way to the endpoint still "
        "goes.\n";
    info_.flags = {{.name = "to",
                    .value = "WHERE",
                    .help = "earliest, latest, a time, or {\"offsets\": [...]}"}};
    info_.examples = {"dispatch rewind orders-demo --to earliest",
                      "dispatch rewind orders-demo --to 2026-11-21T08:00:00Z"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a subscription"));
    auto to = arguments.Value("to");
    if (!to) return UsageError("--to is missing: earliest, latest, a time, or offsets");
    json::object body{{"to", *to}};
    if (to->starts_with('{')) {
      ASSIGN_OR_RETURN(body["to"], JsonOf("to", *to));
    }
    const std::string& name = arguments.positionals()[0];
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(
        auto subscription,
        CallJson(*api, "POST", fmt::format("/v1/subscriptions/{}/rewind", PercentEncode(name)),
                 body));
    invocation.Print(subscription,
                     [&] { return fmt::format("Rewound subscription: {}\n", Printable(name)); });
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeRewind() { return std::make_unique<Rewind>(); }

}  // namespace dispatch::cli
