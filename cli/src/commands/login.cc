#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/contexts.h"

namespace dispatch::cli {

namespace {

constexpr char kFirstContext[] = "default";

void ForgetAccount(json::object& context) {
  context.erase("serviceaccount");
  context.erase("jwtprivatekey");
}

// The context is used from other directories too.
std::string Absolute(const Environment& environment, const std::string& key) {
  bool text = key.starts_with("-----BEGIN");
  return text ? key : (environment.directory / key).lexically_normal().string();
}

class Login : public Command {
 public:
  Login() {
    info_.name = "login";
    info_.usage = "--token KEY [FLAGS]   or   login --service-account NAME --jwt-private-key FILE";
    info_.summary = "try a key, and keep it in the current context";
    info_.text =
        "The key is kept with the address that it was tried at, in the current context or a new "
        "one\ncalled default; of a service account its name and the place of its private key. "
        "`dispatch\nlogout` forgets it.\n";
    info_.examples = {
        "dispatch login --host https://dispatch.example.com --token \"$KEY\"",
        "dispatch login --service-account acme/ci --jwt-private-key ~/.dispatch/ci.key"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
    ASSIGN_OR_RETURN(auto connection, invocation.connection());
    if (connection.token.empty()) {
      return UsageError(
          "--token is missing, or --service-account and --jwt-private-key: who logs in");
    }
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    RETURN_IF_ERROR(CallJson(*api, "GET", "/home").status());
    ContextFile file(ConfigPath(invocation.arguments, invocation.environment));
    RETURN_IF_ERROR(file.Load());
    std::string name = file.current().empty() ? kFirstContext : file.current();
    json::object& context = file.Edit(invocation.arguments.ValueOr("context", name));
    context["host"] = connection.host;
    context["port"] = connection.port;
    context["scheme"] = connection.scheme;
    if (connection.service_account.empty() || invocation.arguments.Has("token")) {
      context["token"] = connection.token;
      ForgetAccount(context);
    } else {
      context.erase("token");
      context["serviceaccount"] = connection.service_account;
      context["jwtprivatekey"] = Absolute(invocation.environment, connection.private_key);
    }
    if (!connection.project.empty()) context["project"] = connection.project;
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
      ForgetAccount(file.Edit(name));
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
