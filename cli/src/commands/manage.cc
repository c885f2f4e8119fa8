#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "cli/src/command.h"
#include "cli/src/contexts.h"
#include "common/crypto.h"
#include "common/jwt/signing_key.h"

namespace dispatch::cli {

namespace {

constexpr char kPolicyName[] = "bootstrap";

class Manage : public Command {
 public:
  Manage() {
    info_.name = "manage";
    info_.usage = "bootstrap [FLAGS]";
    info_.summary =
        "make an organization, a service account that may do everything in it, a context";
    info_.text =
        "As VMware's command, with a key that may make organizations: makes the organization "
        "where\n"
        "there is none, a key pair (kept beside the file of contexts, mode 0600), a service "
        "account\n"
        "with its public key, the policy `bootstrap` that lets it do everything there, and a\n"
        "context, named as the organization, that uses it. What is there already stays as it is,\n"
        "but for the account's key, which is a new one.\n";
    info_.flags = {
        {.name = "bootstrap-org", .value = "NAME", .help = "the organization (default: default)"},
        {.name = "bootstrap-svc-account",
         .value = "NAME",
         .help = "the service account (default: default-svc)"},
        {.name = "bootstrap-user",
         .value = "SUBJECT",
         .help = "the policy is for this subject too, as key:NAME"}};
    info_.examples = {"dispatch manage bootstrap --bootstrap-org acme"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 1, 1, "bootstrap"));
    if (invocation.arguments.positionals()[0] != "bootstrap") {
      return UsageError(
          fmt::format("manage has no '{}', only bootstrap", invocation.arguments.positionals()[0]));
    }
    const std::string org = invocation.arguments.ValueOr("bootstrap-org", "default");
    const std::string account =
        invocation.arguments.ValueOr("bootstrap-svc-account", "default-svc");
    ASSIGN_OR_RETURN(auto connection, invocation.connection());
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    RETURN_IF_ERROR(Make(invocation, *api, org, "organization", "", {{"name", org}}).status());
    auto key = jwt::SigningKey::Random();
    // Before the server knows it: nobody can make it again.
    auto file = ConfigPath(invocation.arguments, invocation.environment).parent_path() /
                fmt::format("{}-{}.key", org, account);
    file = std::filesystem::absolute(invocation.environment.directory / file);
    RETURN_IF_ERROR(WritePrivateFile(file, key.PrivatePem()));
    json::object described{{"name", account}, {"publicKey", crypto::Base64Encode(key.PublicPem())}};
    ASSIGN_OR_RETURN(bool made, Make(invocation, *api, account, "serviceaccount", org, described));
    if (!made) {
      RETURN_IF_ERROR(
          Call(*api, "PUT", "serviceaccount/" + PercentEncode(account), org, std::move(described)));
    }
    RETURN_IF_ERROR(MakePolicy(invocation, *api, org, account));
    return KeepContext(invocation, connection, org, account, file.string());
  }

 private:
  static Status Call(Api& api, const char* method, const std::string& path, const std::string& org,
                     json::object body) {
    http::Headers headers;
    if (!org.empty()) headers.Set("X-Dispatch-Org", org);
    return CallJson(api, method, "/v1/iam/" + path, std::move(body), std::move(headers)).status();
  }

  // Whether it was made: it may be there.
  static Result<bool> Make(Invocation& invocation, Api& api, const std::string& name,
                           const std::string& kind, const std::string& org, json::object body) {
    Status made = Call(api, "POST", kind, org, std::move(body));
    if (!made.ok() && made.code() != Code::kAlreadyExists && made.code() != Code::kConflict) {
      return made.error();
    }
    invocation.out << fmt::format("{} {}: {}\n", made.ok() ? "Created" : "Kept", kind, name);
    return made.ok();
  }

  static Status MakePolicy(Invocation& invocation, Api& api, const std::string& org,
                           const std::string& account) {
    json::array subjects{json::value(org + "/" + account)};
    if (auto user = invocation.arguments.Value("bootstrap-user")) subjects.emplace_back(*user);
    json::object rule{{"subjects", std::move(subjects)}, {"actions", {"*"}}, {"resources", {"*"}}};
    json::object policy{{"name", kPolicyName}, {"rules", json::array{std::move(rule)}}};
    return Make(invocation, api, kPolicyName, "policy", org, std::move(policy)).status();
  }

  static Status KeepContext(Invocation& invocation, const Connection& connection,
                            const std::string& org, const std::string& account,
                            const std::string& key_file) {
    ContextFile file(ConfigPath(invocation.arguments, invocation.environment));
    RETURN_IF_ERROR(file.Load());
    json::object& context = file.Edit(org);
    context["host"] = connection.host;
    context["port"] = connection.port;
    context["scheme"] = connection.scheme;
    context["organization"] = org;
    context["serviceaccount"] = account;
    context["jwtprivatekey"] = key_file;
    context.erase("token");  // it would win
    if (connection.insecure) context["insecure"] = true;
    RETURN_IF_ERROR(file.Use(org));
    RETURN_IF_ERROR(file.Save());
    invocation.out << fmt::format("Using context: {}\n", org);
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeManage() { return std::make_unique<Manage>(); }

}  // namespace dispatch::cli
