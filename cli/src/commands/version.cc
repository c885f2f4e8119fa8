#include "common/version.h"

#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"

namespace dispatch::cli {

namespace {

class Version : public Command {
 public:
  Version() {
    info_.name = "version";
    info_.summary = "versions of this program and of the server";
    info_.examples = {"dispatch version"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
    json::object versions = {{"client", {{"version", BuildVersion()}, {"commit", BuildCommit()}}},
                             {"server", nullptr}};
    Status reached;
    // Nowhere to ask is no failure; not being answered is.
    if (invocation.connection().ok()) reached = AskServer(invocation, versions);
    invocation.Print(versions, [&] {
      const auto* server = versions["server"].if_object();
      return fmt::format("Client: {}\nServer: {}\n", BuildText(),
                         server ? Text(*server) : "unknown");
    });
    return reached;
  }

 private:
  static std::string Text(const json::object& server) {
    std::string version = Printable(json::GetString(server, "version"));
    std::string commit = Printable(json::GetString(server, "commit"));
    return commit.empty() ? version : fmt::format("{} ({})", version, commit);
  }

  static Status AskServer(Invocation& invocation, json::object& versions) {
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(versions["server"], CallJson(*api, "GET", "/v1/version"));
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeVersion() { return std::make_unique<Version>(); }

}  // namespace dispatch::cli
