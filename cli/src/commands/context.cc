#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "cli/src/contexts.h"

namespace dispatch::cli {

namespace {

// Enough to know a key by, not enough to use it.
std::string Masked(const std::string& token) {
  if (token.empty()) return "";
  return token.starts_with("dsp_") && token.size() > 16 ? token.substr(0, 16) + "_..." : "...";
}

std::string Address(const json::object& context) {
  Connection connection;
  connection.scheme = json::GetString(context, "scheme", "https");
  connection.host = json::GetString(context, "host");
  connection.port =
      static_cast<int>(json::GetInt(context, "port", connection.scheme == "https" ? 443 : 8080));
  return connection.Url();
}

class Context : public Command {
 public:
  Context() {
    info_.name = "context";
    info_.usage = "list | current | use NAME | set NAME [FLAGS] | show | delete NAME";
    info_.summary = "which Dispatch the commands talk to, and with which key";
    info_.text =
        "Contexts are kept in ~/.dispatch/config.json, in the form of VMware's CLI. `set` keeps\n"
        "what --host, --port, --scheme, --organization, --project, --token, --service-account,\n"
        "--jwt-private-key and --insecure say; without any of them it is `use`. Without any\n"
        "context a local stack in or above the current directory is used.\n";
    info_.flags = {
        {.name = "token-file", .value = "FILE", .help = "of set: the key is in this file"},
        {.name = "use", .help = "of set: make it the current one"}};
    info_.examples = {
        "dispatch context set prod --host dispatch.example.com --token-file key --use",
        "dispatch context set local --host http://127.0.0.1:8080", "dispatch context use prod",
        "dispatch context show"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    std::string action = words.empty() ? "list" : words[0];
    size_t names = action == "list" || action == "show" || action == "current" ? 0 : 1;
    ContextFile file(ConfigPath(invocation.arguments, invocation.environment));
    RETURN_IF_ERROR(file.Load());
    if (!words.empty()) {
      RETURN_IF_ERROR(
          CheckCount(invocation.arguments.WithoutFirst(), names, names, "the name of a context"));
    }
    if (action == "list") return List(invocation, file);
    if (action == "show") return Show(invocation);
    if (action == "current") {
      if (file.current().empty()) {
        return Error{Code::kNotFound, "there is no context: `dispatch context set NAME` makes one"};
      }
      invocation.out << file.current() << "\n";
      return {};
    }
    // VMware's `set` of one that is there makes it the current one.
    bool nothing_to_set =
        invocation.arguments.given().empty() && words.size() > 1 && file.Find(words[1]) != nullptr;
    if (action == "set" && !nothing_to_set) return Set(invocation, file, words[1]);
    if (action == "use" || action == "set") {
      RETURN_IF_ERROR(file.Use(words[1]));
      RETURN_IF_ERROR(file.Save());
      invocation.out << fmt::format("Using context: {}\n", words[1]);
      return {};
    }
    if (action == "delete") {
      RETURN_IF_ERROR(file.Remove(words[1]));
      RETURN_IF_ERROR(file.Save());
      invocation.out << fmt::format("Deleted context: {}\n", words[1]);
      return {};
    }
    return UsageError(fmt::format("context has no '{}'", action));
  }

 private:
  static Status List(Invocation& invocation, const ContextFile& file) {
    json::array list;
    Table table({"CURRENT", "NAME", "API", "ORGANIZATION", "KEY"});
    for (const std::string& name : file.names()) {
      const json::object* context = file.Find(name);
      if (context == nullptr) continue;
      bool current = name == file.current();
      std::string key = Masked(json::GetString(*context, "token"));
      if (key.empty()) key = json::GetString(*context, "serviceaccount");
      std::string organization = json::GetString(*context, "organization");
      table.Add({current ? "*" : " ", name, Address(*context), organization, key});
      list.push_back({{"name", name},
                      {"current", current},
                      {"api", Address(*context)},
                      {"organization", organization},
                      {"key", key}});
    }
    invocation.Print(list, [&] { return table.Render(); });
    return {};
  }

  static Status Show(Invocation& invocation) {
    ASSIGN_OR_RETURN(auto connection, invocation.connection());
    json::object shown = {{"api", connection.Url()},
                          {"organization", connection.organization},
                          {"key", Masked(connection.token)},
                          {"from", connection.origin}};
    invocation.Print(shown, [&] {
      return fmt::format("API           {}\nOrganization  {}\nKey           {}\nFrom          {}\n",
                         connection.Url(),
                         connection.organization.empty() ? "(the key's)" : connection.organization,
                         connection.token.empty() ? "(none)" : Masked(connection.token),
                         connection.origin);
    });
    return {};
  }

  static Status Set(Invocation& invocation, ContextFile& file, const std::string& name) {
    const Arguments& arguments = invocation.arguments;
    bool is_new = file.Find(name) == nullptr;
    if (is_new && !arguments.Has("host")) {
      return UsageError(fmt::format("context {} is new: say where it is with --host", name));
    }
    json::object& context = file.Edit(name);
    RETURN_IF_ERROR(SetAddressFields(arguments, context));
    if (auto organization = arguments.Value("organization"))
      context["organization"] = *organization;
    if (arguments.Has("insecure")) context["insecure"] = true;
    auto token = arguments.Value("token");
    if (auto path = arguments.Value("token-file")) {
      ASSIGN_OR_RETURN(token, ReadFile(*path));
      token->erase(token->find_last_not_of(" \t\r\n") + 1);
    }
    if (token) context["token"] = *token;
    if (auto project = arguments.Value("project")) context["project"] = *project;
    if (auto account = arguments.Value("service-account")) {
      context["serviceaccount"] = *account;
      if (!token) context.erase("token");  // it would win
    }
    if (auto key = arguments.Value("jwt-private-key")) {
      context["jwtprivatekey"] =
          (invocation.environment.directory / *key).lexically_normal().string();
    }
    if (arguments.Has("use")) RETURN_IF_ERROR(file.Use(name));
    RETURN_IF_ERROR(file.Save());
    invocation.out << fmt::format("Set context: {} ({}){}\n", name, Address(context),
                                  file.current() == name ? ", the current one" : "");
    return {};
  }

  static Status SetAddressFields(const Arguments& arguments, json::object& context) {
    Connection connection;
    if (auto host = arguments.Value("host")) RETURN_IF_ERROR(ParseAddress(*host, connection));
    RETURN_IF_ERROR(CompleteAddress(arguments, connection));
    if (!connection.host.empty()) {
      // A key is for one host.
      if (json::GetString(context, "host") != connection.host) {
        context.erase("token");
        context.erase("serviceaccount");
        context.erase("jwtprivatekey");
      }
      context["host"] = connection.host;
      context.erase("port");
      context.erase("scheme");
    }
    if (!connection.scheme.empty()) context["scheme"] = connection.scheme;
    if (connection.port != 0) context["port"] = connection.port;
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeContext() { return std::make_unique<Context>(); }

}  // namespace dispatch::cli
