#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

class RotateToken : public Command {
 public:
  RotateToken() {
    info_.name = "rotate-token";
    info_.usage = "DRIVER [--overlap DURATION]";
    info_.summary = "give a webhook driver a new address, the old one counts for a while";
    info_.text =
        "Prints where events are taken from now on: the token in it is shown this once. Senders\n"
        "have the time of --overlap to take it over; 0s ends the old one at once.\n";
    info_.flags = {{.name = "overlap",
                    .value = "DURATION",
                    .help = "how long the old one counts (default 24h, at most 7d)"}};
    info_.examples = {"dispatch rotate-token github --overlap 1h"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 1, "the name of a webhook driver"));
    const std::string& name = invocation.arguments.positionals()[0];
    json::object body;
    RETURN_IF_ERROR(FillDuration(invocation.arguments, "overlap", body, "overlap"));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(
        auto driver,
        CallJson(*api, "POST",
                 fmt::format("/v1/event/drivers/{}/rotate-token", PercentEncode(name)), body));
    const auto* form = driver.if_object();
    if (form == nullptr) return Error{Code::kInternal, "the server answered no driver"};
    invocation.Print(driver, [&] {
      std::string until = json::GetString(*form, "previousTokenUntil");
      return fmt::format(
          "Events are taken at {}\n{}", Printable(json::GetString(*form, "url")),
          until.empty() ? ""
                        : fmt::format("The address before counts until {}\n", Printable(until)));
    });
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeRotateToken() { return std::make_unique<RotateToken>(); }

}  // namespace dispatch::cli
