#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/contexts.h"

namespace dispatch::cli {

namespace {

constexpr char kFirstContext[] = "default";

class Login : public Command {
 public:
  Login() {
    info_.name = "login";
    info_.usage = "--token KEY [FLAGS]";
    info_.summary = "try a key, and keep it in the current context";
    info_.text =
        "The key is kept with the address that it was tried at, in the current context or a new "
        "one\ncalled default. `dispatch logout` forgets it.\n";
    info_.examples = {"dispatch login --host https://dispatch.example.com --token \"$KEY\""};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
    ASSIGN_OR_RETURN(auto connection, invocation.connection());
    if (connection.token.empty()) return UsageError("--token is missing: the key to log in with");
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    RETURN_IF_ERROR(CallJson(*api, "GET", "/home").status());
    ContextFile file(ConfigPath(invocation.arguments, invocation.environment));
    RETURN_IF_ERROR(file.Load());
    std::string name = file.current().empty() ? kFirstContext : file.current();
    json::object& context = file.Edit(invocation.arguments.ValueOr("context", name));
    context["host"] = connection.host;
    context["port"] = connection.port;
    context["scheme"] = connection.scheme;
    context["token"] = connection.token;
    if (!connection.organization.empty()) context["organization"] = connection.organization;
    if (connection.insecure) context["insecure"] = true;
    RETURN_IF_ERROR(file.Save());
    invocation.out << "You have successfully logged in\n";
    return {};
  }

 private:
  CommandInfo info_;
};

class Logout : public Command {
 public:
  Logout() {
    info_.name = "logout";
    info_.summary = "forget the key of the current context";
    info_.examples = {"dispatch logout"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
    ContextFile file(ConfigPath(invocation.arguments, invocation.environment));
    RETURN_IF_ERROR(file.Load());
    std::string name = invocation.arguments.ValueOr("context", file.current());
    if (file.Find(name) != nullptr) {
      file.Edit(name).erase("token");
      file.Edit(name).erase("cookie");
      RETURN_IF_ERROR(file.Save());
    }
    invocation.out << "You have successfully logged out\n";
    return {};
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeLogin() { return std::make_unique<Login>(); }
CommandPtr MakeLogout() { return std::make_unique<Logout>(); }

}  // namespace dispatch::cli
